/*
 * A server's ear: the sockets of all addresses it listens on, accepting whenever it is told that
 * there is room. When the process runs out of descriptors it says so once and pauses, without
 * spinning; who waits in the backlog is served later.
 */
#ifndef MUXCAT_LISTENER_H
#define MUXCAT_LISTENER_H

#include "mux.h"
#include "socket.h"

struct listener;

/* A connection from `peer`; `fd` is the receiver's. */
typedef void listener_accepted(struct listener *listener, mux_fd fd, const struct os_address *peer);

/* Accepting failed for want of something (descriptors, memory) and goes on by itself later. */
typedef void listener_troubled(struct listener *listener, int error);

struct listener_socket {
	struct listener *listener;
	struct mux_io io;
	struct mux_op op;
	struct os_address peer;
	struct os_address bound;
	struct socket_file file;
};

struct listener {
	void *owner;
	listener_accepted *accepted;
	listener_troubled *troubled;
	enum address_scheme scheme;
	struct listener_socket *sockets;
	size_t count;
	/* ---- */
	bool v6_only;
	struct mux *mux;
	struct mux_timer pause;
	size_t open;
	bool running;
	uint64_t trouble_at; /* when it was last in want of something */
	bool closing;
};

/*
 * Bind and listen on every address of `address`; port 0 takes one free port for all of them. The
 * caller has set `owner` and the callbacks. Blocks for the look-up. 0, or see resolve_error.
 */
int listener_open(struct listener *listener, struct mux *mux, const struct address *address,
	const struct socket_options *options);

/*
 * The same on every address of `first`, which was opened for SOCKET_PORT_SHARED. `options` are the same
 * but for their port.
 */
int listener_join(struct listener *listener, struct mux *mux, const struct listener *first,
	const struct socket_options *options);

/* Accept, or leave those who come in the backlog. */
void listener_resume(struct listener *listener);
void listener_pause(struct listener *listener);

/*
 * Stop for good, and remove the Unix socket's file. The listener's memory is free once mux_run has
 * returned.
 */
void listener_close(struct listener *listener);

#endif
