/* Making sockets: their options, binding, and what a Unix socket leaves in the file system. */
#ifndef MUXCAT_SOCKET_H
#define MUXCAT_SOCKET_H

#include "address.h"

/* Whose a TCP listener's port is: others may join in a shared one, and get their share of the clients. */
enum socket_port { SOCKET_PORT_OWN, SOCKET_PORT_SHARED, SOCKET_PORT_JOINED };

struct socket_options {
	int recv_buffer;          /* SO_RCVBUF in bytes; 0 leaves the system's */
	int send_buffer;          /* SO_SNDBUF */
	bool v6_only;             /* an IPv6 server's socket does not serve IPv4 too */
	struct os_address source; /* a client's own address; length 0: any */
	uint16_t source_port;     /* 0: any */
	enum socket_port port;    /* a TCP listener's */
	unsigned mode; /* permissions of a Unix listener's file; 0: what the umask leaves */
};

/*
 * A socket bound to `at` and, unless it is a datagram one, listening. Port 0 takes a free one;
 * socket_bound tells which. Returns the descriptor, non-blocking, or a negative errno.
 */
mux_fd socket_listen(enum address_scheme scheme, const struct os_address *at,
	const struct socket_options *options);

/* Can listeners share a port here, so that the system chooses among them (SO_REUSEPORT, socket(7))? */
bool socket_ports_are_shared(void);

/* A socket from which to connect to `to`, bound to the source that the options ask for. */
mux_fd socket_dialler(enum address_scheme scheme, const struct os_address *to,
	const struct socket_options *options);

/* The address a socket is bound to: 0 or a negative errno. */
int socket_bound(mux_fd fd, struct os_address *address);

/* What identifies the file that a bound Unix socket made; `made` is false for all others. */
struct socket_file {
	bool made;
	uint64_t device;
	uint64_t inode;
	char path[108];
};
void socket_file_note(struct socket_file *file, const struct os_address *at);

/* Removes that file, unless it is another one by now. */
void socket_file_remove(struct socket_file *file);

#endif
