#include "server.h"

#include <errno.h>
#include <stdlib.h>

/* How long a client's handshake may take, in milliseconds. */
enum { HANDSHAKE_LIMIT = 10 * 1000 };

/* A client that has come, and has yet to begin TLS. */
struct handshake {
	struct server *server;
	struct tls_stream *tls;
	struct os_address peer;
	struct mux_timer limit;
	struct list_link link;
};

static bool is_full(const struct server *server)
{
	return server->max && server->count >= server->max;
}

/* One more at the same time. */
static void count(struct server *server)
{
	server->count++;
	if (is_full(server) && !server->is_datagram)
		listener_pause(&server->listener);
}

static void uncount(struct server *server)
{
	server->count--;
	if (!server->is_datagram && !server->stopped)
		listener_resume(&server->listener);
}

/* Of those that were dealt out, one has left: in the loop that had it. */
static void tell_dealer(struct server *server)
{
	struct server *dealer = server->dealer;

	if (!dealer || !dealer->max)
		return;
	atomic_fetch_add(&dealer->gone, 1);
	mux_post(dealer->mux, &dealer->some_gone);
}

static void end_handshake(struct handshake *handshake)
{
	mux_timer_stop(&handshake->limit);
	list_remove(&handshake->link);
	uncount(handshake->server);
	free(handshake);
}

static void reject(struct handshake *handshake, const char *why)
{
	struct tls_stream *tls = handshake->tls;

	handshake->server->rejected(handshake->server, &handshake->peer, why);
	stream_close(tls_stream(tls), NULL); /* with the alert that tells it why */
	tell_dealer(handshake->server);
	end_handshake(handshake);
}

static void handshake_over(struct tls_stream *tls, int error)
{
	struct handshake *handshake = tls_owner(tls);
	struct server *server = handshake->server;
	struct os_address peer = handshake->peer;
	struct transport arrival = { -1, tls, &peer, server->scheme };

	if (error) {
		reject(handshake, tls_why(tls));
		return;
	}
	end_handshake(handshake);
	server->arrived(server, &arrival);
}

static void handshake_stalled(struct mux_timer *timer)
{
	reject(container_of(timer, struct handshake, limit), "its TLS handshake takes too long");
}

static void begin_handshake(struct server *server, const struct transport *arrival)
{
	struct handshake *handshake = calloc(1, sizeof(*handshake));
	int error = -ENOMEM;

	if (handshake)
		handshake->tls = tls_open(server->tls, server->mux, arrival->fd, NULL,
			handshake_over, handshake, &error);
	if (!handshake || !handshake->tls) {
		server->rejected(server, arrival->peer, os_error(error));
		server_refuse(server, arrival);
		free(handshake);
		return;
	}
	handshake->server = server;
	handshake->peer = *arrival->peer;
	list_add(&server->handshakes, &handshake->link);
	mux_timer_start(server->mux, &handshake->limit, HANDSHAKE_LIMIT, handshake_stalled);
	count(server);
}

static void begin(struct server *server, mux_fd fd, const struct os_address *peer)
{
	struct transport arrival = { fd, NULL, peer, server->scheme };

	if (server->tls)
		begin_handshake(server, &arrival);
	else
		server->arrived(server, &arrival);
}

/* ---- dealing out ---- */

struct dealt {
	struct mux_task task;
	struct server *to;
	mux_fd fd;
	struct os_address peer;
};

static void take_dealt(struct mux_task *task)
{
	struct dealt *dealt = container_of(task, struct dealt, task);

	begin(dealt->to, dealt->fd, &dealt->peer);
	free(dealt);
}

static void some_gone(struct mux_task *task)
{
	struct server *dealer = container_of(task, struct server, some_gone);

	for (size_t n = atomic_exchange(&dealer->gone, 0); n; n--)
		uncount(dealer);
}

static void stream_accepted(struct listener *listener, mux_fd fd, const struct os_address *peer)
{
	struct server *server = listener->owner;
	struct server *to = server->turn ? server->turn : server;
	struct dealt *dealt = to == server ? NULL : calloc(1, sizeof(*dealt));

	server->turn = to->next;
	if (!dealt) {
		begin(server, fd, peer);
		return;
	}
	dealt->task.run = take_dealt;
	dealt->to = to;
	dealt->fd = fd;
	dealt->peer = *peer;
	if (server->max)
		count(server);
	mux_post(to->mux, &dealt->task);
}

static void listener_in_trouble(struct listener *listener, int error)
{
	struct server *server = listener->owner;

	server->troubled(server, error);
}

static void datagram_from_stranger(struct datagram_server *datagrams, const struct os_address *peer)
{
	struct server *server = datagrams->owner;
	struct transport arrival = { -1, NULL, peer, server->scheme };

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

int server_open_beside(struct server *server, struct mux *mux, struct server *first,
	const struct socket_options *options, bool shares_port)
{
	int error;

	server->mux = mux;
	server->scheme = first->scheme;
	server->troubled = first->troubled;
	server->rejected = first->rejected;
	server->listener.owner = server;
	server->listener.accepted = stream_accepted;
	server->listener.troubled = listener_in_trouble;
	if (!shares_port) {
		server->dealer = first;
		server->next = first->next;
		first->next = server;
		first->some_gone.run = some_gone;
		return 0;
	}
	error = listener_join(&server->listener, mux, &first->listener, options);
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

int server_take(
	struct server *server, const struct transport *arrival, struct connection *connection)
{
	if (server->is_datagram) {
		connection_open_peer(connection, &server->datagrams, arrival->peer, server->scheme);
	} else {
		int error = connection_open(connection, server->mux, arrival);

		if (error) {
			tell_dealer(server);
			return error;
		}
	}
	count(server);
	return 0;
}

void server_refuse(struct server *server, const struct transport *arrival)
{
	if (server->is_datagram)
		return;
	tell_dealer(server);
	if (arrival->tls) {
		stream_reset(tls_stream(arrival->tls), 0, NULL);
		return;
	}
	os_reset_on_close(arrival->fd, true); /* it shall not take this for an end */
	os_close(arrival->fd, OS_SOCKET);
}

void server_leave(struct server *server)
{
	tell_dealer(server);
	uncount(server);
}

void server_stop(struct server *server)
{
	server->stopped = true;
	list_each(link, server->handshakes) {
		struct handshake *handshake = container_of(link, struct handshake, link);

		stream_reset(tls_stream(handshake->tls), 0, NULL);
		end_handshake(handshake);
	}
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
