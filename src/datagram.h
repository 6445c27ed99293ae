/*
 * A datagram server's socket, shared by many peers: each address that sends becomes a stream of its
 * own, so that relay and hub need to know nothing of datagrams.
 *
 * What a peer's owner does not take in time waits in a short queue, and is dropped beyond it, as
 * datagrams may be. Nobody holds up another peer.
 */
#ifndef MUXCAT_DATAGRAM_H
#define MUXCAT_DATAGRAM_H

#include "socket.h"
#include "stream.h"

struct datagram_server;

struct datagram_peer {
	struct stream stream;
	/* ---- */
	struct datagram_server *server;
	struct os_address address;
	struct mux_op send_op;
	struct mux_buf *pending; /* a send that waits for the socket, or NULL */
	const unsigned char *pending_data;
	size_t pending_length;
	struct datagram_peer *next_pending;
	struct datagram *queue; /* received and not yet asked for */
	struct datagram **queue_tail;
	size_t queued;
	uint64_t dropped;
	uint64_t moved_at;
	struct datagram_peer *next_in_bucket;
	struct datagram_peer *next_due;
	bool due;       /* something is to be called back from the loop */
	bool in_flight; /* send_op awaits its callback */
	bool closing;
};

/*
 * A datagram from an unknown peer: the receiver calls datagram_peer_open with memory for it, and it
 * is delivered there, or does nothing, and it is dropped.
 */
typedef void datagram_arrived(struct datagram_server *server, const struct os_address *peer);

enum { DATAGRAM_BUCKETS = 1024 };

struct datagram_server {
	void *owner;
	datagram_arrived *arrived;
	struct os_address bound;
	/* ---- */
	struct mux *mux;
	struct mux_io io;
	struct mux_op recv_op;
	struct os_address from;
	struct socket_file file;
	struct mux_timer soon; /* runs the due callbacks from the loop */
	struct datagram_peer *due;
	struct datagram_peer *pending;
	struct datagram_peer **pending_tail;
	struct datagram_peer *stalled; /* Unix peers whose queue was full: tried again later */
	struct mux_timer retry;
	struct mux_timer again; /* to receive, after an error that does not pass */
	struct datagram_peer *buckets[DATAGRAM_BUCKETS];
	bool closing;
};

/*
 * A datagram socket bound to the first address that `address` means (no host: every address); what
 * it is bound to, and the file it made. The descriptor, or see resolve_error.
 */
mux_fd datagram_bind(const struct address *address, const struct socket_options *options,
	struct os_address *bound, struct socket_file *file);

/*
 * Is `error` of a receive one that an earlier datagram brought (ICMP, see udp(7)), or the end of
 * one datagram only? The next receive is then in order; after any other it would only fail again.
 */
bool datagram_error_passes(int error);

/* Bind and receive. The caller has set `owner` and `arrived`. */
int datagram_server_open(struct datagram_server *server, struct mux *mux,
	const struct address *address, const struct socket_options *options);

/* Remove a Unix socket's file, so that nobody new comes; peers go on. */
void datagram_server_stop(struct datagram_server *server);

/* Close the socket and remove a Unix socket's file; every peer must be closed, or closing. */
void datagram_server_close(struct datagram_server *server);

/* Make `peer`, whose memory the caller gives, the stream to and from `address`. */
void datagram_peer_open(struct datagram_server *server, struct datagram_peer *peer,
	const struct os_address *address);

#endif
