/* A peer and the stream to it, whether it was accepted, dialled, or is known by its datagrams. */
#ifndef MUXCAT_CONNECTION_H
#define MUXCAT_CONNECTION_H

#include "datagram.h"
#include "tls.h"

struct connection;
typedef void connection_closed(struct connection *connection);

/* What a stream's connection is made of: a connected socket, or TLS over one. */
struct transport {
	mux_fd fd;              /* -1 if it is TLS, or the new peer of a datagram server */
	struct tls_stream *tls; /* or NULL */
	const struct os_address *peer;
	enum address_scheme scheme;
};

struct connection {
	struct stream *stream;
	struct tls_stream *tls; /* the same, if it is TLS; else NULL */
	struct os_address peer;
	enum address_scheme scheme;
	uint64_t opened_at; /* os_now() */
	/* ---- */
	connection_closed *closed;
	union {
		struct handle_stream handle;
		struct datagram_peer datagram;
	} u;
};

/*
 * Make a connection of a transport, or of a datagram server's new peer. The memory is the caller's
 * until the connection is closed and need not be initialised. A failure, a negative errno as of
 * mux_attach, has closed the transport.
 */
int connection_open(
	struct connection *connection, struct mux *mux, const struct transport *transport);
void connection_open_peer(struct connection *connection, struct datagram_server *server,
	const struct os_address *peer, enum address_scheme scheme);

/*
 * As stream_close, stream_close_gently (`patience` > 0) and stream_reset; `closed` comes from the
 * loop.
 */
void connection_close(struct connection *connection, uint64_t patience, connection_closed *closed);
void connection_reset(struct connection *connection, uint64_t patience, connection_closed *closed);

#endif
