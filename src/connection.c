#include "connection.h"

/* Both members of the union begin with their stream. */
static struct connection *connection_of(struct stream *stream)
{
	return container_of(stream, struct connection, u);
}

static void start(struct connection *connection, struct stream *stream,
	const struct os_address *peer, enum address_scheme scheme)
{
	connection->stream = stream;
	connection->peer = *peer;
	connection->scheme = scheme;
	connection->opened_at = os_now();
}

int connection_open_socket(struct connection *connection, struct mux *mux, mux_fd fd,
	const struct os_address *peer, enum address_scheme scheme)
{
	bool datagram = scheme == ADDRESS_UDP || scheme == ADDRESS_UNIXGRAM;
	int error = stream_open_socket(mux, &connection->u.handle, fd, datagram);

	if (!error)
		start(connection, &connection->u.handle.stream, peer, scheme);
	return error;
}

void connection_open_peer(struct connection *connection, struct datagram_server *server,
	const struct os_address *peer, enum address_scheme scheme)
{
	datagram_peer_open(server, &connection->u.datagram, peer);
	start(connection, &connection->u.datagram.stream, peer, scheme);
}

static void closed_stream(struct stream *stream)
{
	struct connection *connection = connection_of(stream);

	if (connection->closed)
		connection->closed(connection);
}

void connection_close(struct connection *connection, uint64_t patience, connection_closed *closed)
{
	connection->closed = closed;
	if (patience)
		stream_close_gently(connection->stream, patience, closed_stream);
	else
		stream_close(connection->stream, closed_stream);
}

void connection_reset(struct connection *connection, uint64_t patience, connection_closed *closed)
{
	connection->closed = closed;
	stream_reset(connection->stream, patience, closed_stream);
}
