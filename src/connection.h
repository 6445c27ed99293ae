/* A peer and the stream to it, whether it was accepted, dialled, or is known by its datagrams. */
#ifndef MUXCAT_CONNECTION_H
#define MUXCAT_CONNECTION_H

#include "datagram.h"
#include "stream.h"

struct connection;
typedef void connection_closed(struct connection *connection);

struct connection {
	struct stream *stream;
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
 * Make a connection of a connected socket, or of a datagram server's new peer. The memory is the
 * caller's until the connection is closed and need not be initialised. A failure, a negative errno
 * as of mux_attach, leaves the fd the caller's.
 */
int connection_open_socket(struct connection *connection, struct mux *mux, mux_fd fd,
	const struct os_address *peer, enum address_scheme scheme);
void connection_open_peer(struct connection *connection, struct datagram_server *server,
	const struct os_address *peer, enum address_scheme scheme);

/*
 * As stream_close, stream_close_gently (`patience` > 0) and stream_reset; `closed` comes from the
 * loop.
 */
void connection_close(struct connection *connection, uint64_t patience, connection_closed *closed);
void connection_reset(struct connection *connection, uint64_t patience, connection_closed *closed);

#endif
