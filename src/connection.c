#include "connection.h"

static void start(struct connection *connection, struct stream *stream,
	const struct os_address *peer, enum address_scheme scheme)
{
	connection->stream = stream;
	connection->tls = NULL;
	stream->holder = connection;
	connection->peer = *peer;
	connection->scheme = scheme;
	connection->opened_at = os_now();
}

int connection_open(
	struct connection *connection, struct mux *mux, const struct transport *transport)
{
	enum address_scheme scheme = transport->scheme;
	bool datagram = scheme == ADDRESS_UDP || scheme == ADDRESS_UNIXGRAM;
	int error;

	if (transport->tls) {
		start(connection, tls_stream(transport->tls), transport->peer, scheme);
		connection->tls = transport->tls;
		return 0;
	}
	error = stream_open_socket(mux, &connection->u.handle, transport->fd, datagram);
	if (error) {
		os_reset_on_close(transport->fd, true); /* it shall not take this for an end */
		os_close(transport->fd, OS_SOCKET);
	} else {
		start(connection, &connection->u.handle.stream, transport->peer, scheme);
	}
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
	struct connection *connection = stream->holder;

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
