#include "datagram.h"

#include "resolve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	QUEUE = 64,  /* how many datagrams wait for a peer's owner */
	PAUSE = 100, /* milliseconds until receiving is tried again after an error of our own */
	RETRY = 10,  /* milliseconds until a Unix peer whose queue was full is tried again */
};

struct datagram {
	struct datagram *next;
	struct mux_buf *buf;
	const unsigned char *data;
	size_t length;
};

static struct datagram_peer *peer_of(const struct stream *stream)
{
	return container_of(stream, struct datagram_peer, stream);
}

/* ---- who is who ---- */

static struct datagram_peer **bucket_of(
	struct datagram_server *server, const struct os_address *address)
{
	const unsigned char *key = (const unsigned char *)&address->u;
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (socklen_t i = 0; i < address->length; i++)
		hash = (hash ^ key[i]) * 16777619u;
	return &server->buckets[hash % DATAGRAM_BUCKETS];
}

static struct datagram_peer *find(struct datagram_server *server, const struct os_address *address)
{
	struct datagram_peer *peer = *bucket_of(server, address);

	while (peer && !address_equal(&peer->address, address))
		peer = peer->next_in_bucket;
	return peer;
}

static void forget(struct datagram_peer *peer)
{
	struct datagram_peer **link = bucket_of(peer->server, &peer->address);

	while (*link != peer)
		link = &(*link)->next_in_bucket;
	*link = peer->next_in_bucket;
}

/* ---- callbacks that must come from the loop ---- */

static void run_due(struct mux_timer *timer);

static void make_due(struct datagram_peer *peer)
{
	struct datagram_server *server = peer->server;

	if (peer->due)
		return;
	peer->due = true;
	peer->next_due = server->due;
	server->due = peer;
	mux_timer_start(server->mux, &server->soon, 0, run_due);
}

static struct datagram *take(struct datagram_peer *peer)
{
	struct datagram *datagram = peer->queue;

	peer->queue = datagram->next;
	if (!peer->queue)
		peer->queue_tail = &peer->queue;
	peer->queued--;
	return datagram;
}

static void release(struct datagram *datagram)
{
	mux_buf_unref(datagram->buf);
	free(datagram);
}

static void close_now(struct datagram_peer *peer)
{
	while (peer->queue)
		release(take(peer));
	mux_release(peer->server->mux);
	if (peer->stream.closed)
		peer->stream.closed(&peer->stream);
}

static void run_due(struct mux_timer *timer)
{
	struct datagram_server *server = container_of(timer, struct datagram_server, soon);
	struct datagram_peer *peer = server->due;

	server->due = NULL;
	while (peer) {
		struct datagram_peer *next = peer->next_due;

		peer->due = false;
		if (peer->closing) {
			if (!peer->in_flight)
				close_now(peer);
		} else if (peer->queue && peer->stream.receiving) {
			struct datagram *datagram = take(peer);

			stream_report_received(&peer->stream, datagram->buf, datagram->data,
				(ssize_t)datagram->length);
			release(datagram);
		}
		peer = next;
	}
}

/* ---- receiving ---- */

static void enqueue(
	struct datagram_peer *peer, struct mux_buf *buf, const unsigned char *data, size_t length)
{
	struct datagram *datagram = peer->queued < QUEUE ? malloc(sizeof(*datagram)) : NULL;

	if (!datagram) {
		peer->dropped++;
		return;
	}
	datagram->next = NULL;
	datagram->data = data;
	datagram->length = length;
	datagram->buf = mux_buf_keep(buf, &datagram->data, length);
	if (!datagram->buf) {
		free(datagram);
		peer->dropped++;
		return;
	}
	*peer->queue_tail = datagram;
	peer->queue_tail = &datagram->next;
	peer->queued++;
}

bool datagram_error_passes(int error)
{
	switch (-error) {
	case ECONNREFUSED:
	case ECONNRESET:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case EMSGSIZE:
	case ENETDOWN:
	case ENETUNREACH:
	case ENOPROTOOPT:
	case EPROTO:
		return true;
	default:
		return false;
	}
}

static void arrived(struct mux_op *op, ssize_t n);

static void receive_again(struct mux_timer *timer)
{
	struct datagram_server *server = container_of(timer, struct datagram_server, again);

	mux_recvfrom(&server->io, &server->recv_op, &server->from, arrived);
}

static void arrived(struct mux_op *op, ssize_t n)
{
	struct datagram_server *server = container_of(op, struct datagram_server, recv_op);
	struct mux_buf *buf = op->buf;
	const unsigned char *data = op->data;

	if (n == -ECANCELED)
		return;

	struct os_address from = server->from;

	if (n < 0 && !datagram_error_passes((int)n)) {
		mux_timer_start(server->mux, &server->again, PAUSE, receive_again);
		return;
	}
	mux_recvfrom(&server->io, op, &server->from, arrived);
	if (n < 0 && n != -EMSGSIZE)
		return; /* an ICMP error of some earlier datagram: nobody's end (udp(7)) */

	struct datagram_peer *peer = find(server, &from);

	if (!peer) {
		server->arrived(server, &from);
		peer = find(server, &from);
	}
	if (!peer)
		return;
	peer->moved_at = mux_now(server->mux);
	if (n < 0)
		peer->dropped++;
	else if (peer->stream.receiving && !peer->queue)
		stream_report_received(&peer->stream, buf, data, n);
	else
		enqueue(peer, buf, data, (size_t)n);
}

static void peer_recv(struct stream *stream)
{
	struct datagram_peer *peer = peer_of(stream);

	if (peer->queue)
		make_due(peer);
}

static void peer_stop_recv(struct stream *stream)
{
	(void)stream; /* what arrives from now on is queued */
}

/* ---- sending: one at a time on the shared socket ---- */

static void send_next(struct datagram_server *server);

static void append_pending(struct datagram_peer *peer)
{
	struct datagram_server *server = peer->server;

	peer->next_pending = NULL;
	*server->pending_tail = peer;
	server->pending_tail = &peer->next_pending;
}

static void retry_stalled(struct mux_timer *timer)
{
	struct datagram_server *server = container_of(timer, struct datagram_server, retry);
	struct datagram_peer *peer = server->stalled;

	server->stalled = NULL;
	while (peer) {
		struct datagram_peer *next = peer->next_pending;

		append_pending(peer);
		peer = next;
	}
	send_next(server);
}

/*
 * A Unix peer's queue is full, or what our peers have not read fills our own buffer, to which Unix
 * datagrams are charged until then (unix(7)): nothing tells when that is over.
 */
static void stall(struct datagram_peer *peer)
{
	struct datagram_server *server = peer->server;

	peer->pending = mux_buf_ref(peer->send_op.buf);
	peer->next_pending = server->stalled;
	server->stalled = peer;
	if (!mux_timer_armed(&server->retry))
		mux_timer_start(server->mux, &server->retry, RETRY, retry_stalled);
}

static void sent(struct mux_op *op, ssize_t result)
{
	struct datagram_peer *peer = container_of(op, struct datagram_peer, send_op);
	struct datagram_server *server = peer->server;

	peer->in_flight = false;
	if (peer->closing) {
		make_due(peer);
	} else if (result == -EAGAIN) {
		stall(peer);
	} else {
		peer->moved_at = mux_now(server->mux);
		stream_report_sent(&peer->stream, op->moved, result);
	}
	send_next(server);
}

static void send_next(struct datagram_server *server)
{
	struct datagram_peer *peer = server->pending;

	if (!peer || server->io.writing || server->closing)
		return;
	server->pending = peer->next_pending;
	if (!server->pending)
		server->pending_tail = &server->pending;

	struct mux_buf *buf = peer->pending;

	peer->pending = NULL;
	peer->in_flight = true;
	mux_sendto(&server->io, &peer->send_op, buf, peer->pending_data, peer->pending_length,
		&peer->address, sent);
	mux_buf_unref(buf);
}

static void peer_send(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, size_t length)
{
	struct datagram_peer *peer = peer_of(stream);
	struct datagram_server *server = peer->server;

	peer->pending = mux_buf_ref(buf);
	peer->pending_data = data;
	peer->pending_length = length;
	append_pending(peer);
	send_next(server);
}

static void drop_pending(struct datagram_peer *peer)
{
	struct datagram_server *server = peer->server;
	struct datagram_peer **link = &server->stalled;

	while (*link && *link != peer)
		link = &(*link)->next_pending;
	if (!*link)
		for (link = &server->pending; *link != peer;)
			link = &(*link)->next_pending;
	*link = peer->next_pending;
	if (server->pending_tail == &peer->next_pending)
		server->pending_tail = link;
	mux_buf_unref(peer->pending);
	peer->pending = NULL;
}

/* ---- the rest of a stream ---- */

static void peer_shutdown(struct stream *stream)
{
	(void)stream; /* datagrams have no end */
}

static void peer_close(struct stream *stream)
{
	struct datagram_peer *peer = peer_of(stream);

	forget(peer);
	peer->closing = true;
	mux_hold(peer->server->mux); /* until it has been called back */
	if (peer->pending)
		drop_pending(peer);
	if (peer->in_flight)
		mux_cancel(&peer->send_op); /* its callback goes on to the close */
	else
		make_due(peer);
}

static uint64_t peer_moved_at(const struct stream *stream)
{
	return peer_of(stream)->moved_at;
}

static size_t peer_none(const struct stream *stream)
{
	(void)stream; /* a datagram has gone, or not */
	return 0;
}

static const struct stream_kind peer_kind = {
	.recv = peer_recv,
	.send = peer_send,
	.stop_recv = peer_stop_recv,
	.shutdown = peer_shutdown,
	.close = peer_close,
	.moved_at = peer_moved_at,
	.sending = peer_none,
	.unsent = peer_none,
};

void datagram_peer_open(struct datagram_server *server, struct datagram_peer *peer,
	const struct os_address *address)
{
	struct datagram_peer **bucket = bucket_of(server, address);

	memset(peer, 0, sizeof(*peer));
	peer->stream.kind = &peer_kind;
	peer->stream.mux = server->mux;
	peer->stream.datagram = true;
	peer->stream.duplex = true;
	peer->server = server;
	peer->address = *address;
	peer->queue_tail = &peer->queue;
	peer->moved_at = mux_now(server->mux);
	peer->next_in_bucket = *bucket;
	*bucket = peer;
}

/* ---- the server ---- */

mux_fd datagram_bind(const struct address *address, const struct socket_options *options,
	struct os_address *bound, struct socket_file *file)
{
	struct socket_options own = *options;
	struct os_address *found;
	size_t count;
	size_t best = 0;
	int error = resolve_now(address, true, &found, &count);

	if (error)
		return error;
	own.v6_only = *address->host || address->family != AF_UNSPEC;
	/* without a host, one IPv6 socket serves IPv4 too */
	for (size_t i = 0; !*address->host && i < count; i++)
		if (found[i].u.any.sa_family == AF_INET6)
			best = i;

	mux_fd fd = socket_listen(address->scheme, &found[best], &own);

	if ((fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) && count > 1) {
		best = best == 0 ? 1 : 0;
		fd = socket_listen(address->scheme, &found[best], &own);
	}
	if (fd >= 0) {
		socket_file_note(file, &found[best]);
		error = socket_bound(fd, bound);
	}
	free(found);
	if (!error)
		return fd;
	socket_file_remove(file);
	os_close(fd, OS_SOCKET);
	return error;
}

int datagram_server_open(struct datagram_server *server, struct mux *mux,
	const struct address *address, const struct socket_options *options)
{
	mux_fd fd = datagram_bind(address, options, &server->bound, &server->file);

	if (fd < 0)
		return fd;

	int error = mux_attach(mux, &server->io, fd, OS_SOCKET);

	if (error) {
		socket_file_remove(&server->file);
		os_close(fd, OS_SOCKET);
		return error;
	}
	server->mux = mux;
	server->pending_tail = &server->pending;
	mux_recvfrom(&server->io, &server->recv_op, &server->from, arrived);
	return 0;
}

void datagram_server_stop(struct datagram_server *server)
{
	socket_file_remove(&server->file);
}

void datagram_server_close(struct datagram_server *server)
{
	if (server->closing || !server->mux)
		return;
	server->closing = true;
	mux_timer_stop(&server->retry);
	mux_timer_stop(&server->again);
	datagram_server_stop(server);
	mux_close(&server->io, NULL);
}
