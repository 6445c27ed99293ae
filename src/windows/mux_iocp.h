/*
 * I/O completion ports, inside. Sockets have calls of their own here (struct mux_calls): a try
 * begins an overlapped operation, and the try after its completion collects it.
 *
 *	accept    several AcceptEx at a time; the connections wait here until they are asked for
 *	connect   ConnectEx
 *	receive   WSARecv of no bytes, which ends when there are some, then a non-blocking recv: a
 *	          connection that waits owns no buffer
 *	send      WSASendTo no address, a piece at a time, so that progress shows
 *	recvfrom  WSARecvFrom into a buffer of the handle's, then non-blocking ones
 *	sendto    WSASendTo
 *
 * What the system writes to until a completion has come lives in struct overlapped_socket, which
 * has the completion key, and not in the mux_io and mux_op that asked: those may be called back,
 * closed and reused at once. It is freed when its socket is closed and its last completion taken.
 */
#ifndef MUXCAT_MUX_IOCP_H
#define MUXCAT_MUX_IOCP_H

#include "mux_loop.h"

#include <mswsock.h>

enum {
	IOCP_BATCH = 256,   /* completions taken at once */
	IOCP_ACCEPTS = 16,  /* outstanding on a listener */
	IOCP_BUCKETS = 1024 /* of sockets by descriptor */
};

enum call_state { CALL_IDLE, CALL_UNDER_WAY, CALL_ENDED };

struct overlapped_socket;

/* One operation of the system's. */
struct call {
	OVERLAPPED overlapped;
	void (*ended)(struct overlapped_socket *socket, struct call *call);
	enum call_state state;
	ssize_t result; /* bytes, or a negative errno */
};

struct accept_call {
	struct call call;
	mux_fd accepted;
	char addresses[2 * (sizeof(struct sockaddr_storage) + 16)]; /* AcceptEx wants 16 more */
};

struct datagram_room {
	struct os_address from;
	char bytes[64 * 1024];
};

struct overlapped_socket {
	struct iocp_state *iocp;
	struct mux_io *io; /* NULL: closed, or detached and not attached again */
	mux_fd fd;
	int family;
	bool stream;
	bool told_at_once; /* an immediate success brings no completion */
	bool closed;
	bool disowned;      /* the send's operation has been cancelled */
	unsigned under_way; /* calls whose completion has not been taken */
	int failure;        /* a receive's, 0 none */
	struct call receive;
	struct call send; /* or connect */
	struct mux_buf *sending;
	struct accept_call *accepts;     /* a listener's, [IOCP_ACCEPTS] */
	struct datagram_room *datagrams; /* for WSARecvFrom */
	struct overlapped_socket *next_in_bucket;
};

struct iocp_state {
	HANDLE port;
	LPFN_ACCEPTEX accept;
	LPFN_CONNECTEX connect;
	size_t under_way;
	struct overlapped_socket *buckets[IOCP_BUCKETS];
	OVERLAPPED_ENTRY entries[IOCP_BATCH];
};

/* Closes a connection that was accepted and nobody asked for. */
void iocp_refuse(struct accept_call *accept);

/* The calls of a socket: see struct mux_calls. */
int iocp_want(struct mux_io *io, unsigned interest);
mux_fd iocp_accept(struct mux_io *io, struct os_address *peer);
int iocp_connect(struct mux_io *io, const struct os_address *to);
int iocp_connect_result(struct mux_io *io);
ssize_t iocp_read(struct mux_io *io, void *into, size_t size);
ssize_t iocp_recvfrom(struct mux_io *io, void *into, size_t size, struct os_address *from);
ssize_t iocp_write(struct mux_io *io, const struct mux_op *op);
ssize_t iocp_sendto(struct mux_io *io, const struct mux_op *op);
void iocp_cancelled(struct mux_io *io, const struct mux_op *op);

#endif
