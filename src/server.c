#include "server.h"

#include <errno.h>

static bool is_full(const struct server *server)
{
	return server->max && server->count >= server->max;
}

static void stream_accepted(struct listener *listener, mux_fd fd, const struct os_address *peer)
{
	struct server *server = listener->owner;
	struct arrival arrival = { fd, peer };

	server->arrived(server, &arrival);
}

static void listener_in_trouble(struct listener *listener, int error)
{
	struct server *server = listener->owner;

	server->troubled(server, error);
}

static void datagram_from_stranger(struct datagram_server *datagrams, const struct os_address *peer)
{
	struct server *server = datagrams->owner;
	struct arrival arrival = { -1, peer };

	if (!server->stopped && !is_full(server))
		server->arrived(server, &arrival);
}

int server_open(struct server *server, struct mux *mux, const struct address *address,
	const struct socket_options *options)
{
	int error;

	server->mux = mux;
	server->scheme = address->scheme;
	server->is_datagram = address_is_datagram(address);
	if (server->is_datagram) {
		server->datagrams.owner = server;
		server->datagrams.arrived = datagram_from_stranger;
		return datagram_server_open(&server->datagrams, mux, address, options);
	}
	server->listener.owner = server;
	server->listener.accepted = stream_accepted;
	server->listener.troubled = listener_in_trouble;
	error = listener_open(&server->listener, mux, address, options);
	if (!error)
		listener_resume(&server->listener);
	return error;
}

const struct os_address *server_bound(const struct server *server, size_t index)
{
	if (server->is_datagram)
		return index == 0 ? &server->datagrams.bound : NULL;
	return index < server->listener.count ? &server->listener.sockets[index].bound : NULL;
}

int server_take(struct server *server, const struct arrival *arrival, struct connection *connection)
{
	if (server->is_datagram) {
		connection_open_peer(connection, &server->datagrams, arrival->peer, server->scheme);
	} else {
		int error = connection_open_socket(
			connection, server->mux, arrival->fd, arrival->peer, server->scheme);

		if (error) {
			os_close(arrival->fd, OS_SOCKET);
			return error;
		}
	}
	server->count++;
	if (is_full(server) && !server->is_datagram)
		listener_pause(&server->listener);
	return 0;
}

void server_refuse(struct server *server, const struct arrival *arrival)
{
	if (server->is_datagram)
		return;
	os_reset_on_close(arrival->fd, true); /* it shall not take this for an end */
	os_close(arrival->fd, OS_SOCKET);
}

void server_leave(struct server *server)
{
	server->count--;
	if (!server->is_datagram && !server->stopped)
		listener_resume(&server->listener);
}

void server_stop(struct server *server)
{
	server->stopped = true;
	if (server->is_datagram)
		datagram_server_stop(&server->datagrams);
	else
		listener_close(&server->listener);
}

void server_close(struct server *server)
{
	server_stop(server);
	if (server->is_datagram)
		datagram_server_close(&server->datagrams);
}
