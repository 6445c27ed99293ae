#include "listener.h"

#include "resolve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAUSE = 100, /* milliseconds until accepting is tried again, for want of descriptors */
	TOLD_FOR = 10 * 1000 /* how long its owner then need not be told again */
};

static void accept_next(struct listener_socket *socket);

static void pause_over(struct mux_timer *timer)
{
	struct listener *listener = container_of(timer, struct listener, pause);

	for (size_t i = 0; listener->running && i < listener->count; i++)
		accept_next(&listener->sockets[i]);
}

static void accepted(struct mux_op *op, ssize_t result)
{
	struct listener_socket *socket = container_of(op, struct listener_socket, op);
	struct listener *listener = socket->listener;

	if (result == -ECANCELED) {
		accept_next(socket); /* paused, and perhaps resumed since */
		return;
	}
	if (result < 0) {
		mux_timer_start(listener->mux, &listener->pause, PAUSE, pause_over);

		uint64_t now = mux_now(listener->mux);

		if (!listener->trouble_at || now - listener->trouble_at > TOLD_FOR)
			listener->troubled(listener, (int)result);
		listener->trouble_at = now;
		return;
	}
	listener->accepted(listener, op->accepted, &socket->peer);
	accept_next(socket);
}

static void accept_next(struct listener_socket *socket)
{
	struct listener *listener = socket->listener;

	if (listener->running && !mux_op_outstanding(&socket->op) &&
		!mux_timer_armed(&listener->pause))
		mux_accept(&socket->io, &socket->op, &socket->peer, accepted);
}

static void set_port(struct os_address *at, const struct os_address *like)
{
	uint16_t port =
		like->u.any.sa_family == AF_INET6 ? like->u.v6.sin6_port : like->u.v4.sin_port;

	if (at->u.any.sa_family == AF_INET6)
		at->u.v6.sin6_port = port;
	else
		at->u.v4.sin_port = port;
}

static int open_one(struct listener *listener, const struct os_address *at,
	const struct socket_options *options)
{
	struct listener_socket *socket = &listener->sockets[listener->count];
	mux_fd fd = socket_listen(listener->scheme, at, options);

	if (fd < 0)
		return fd;

	socket_file_note(&socket->file, at);

	int error = socket_bound(fd, &socket->bound);

	if (!error)
		error = mux_attach(listener->mux, &socket->io, fd, OS_SOCKET);
	if (error) {
		socket_file_remove(&socket->file);
		os_close(fd, OS_SOCKET);
		return error;
	}
	socket->listener = listener;
	listener->count++;
	listener->open++;
	return 0;
}

/* Without a host: one IPv6 socket that serves IPv4 too, or IPv4 alone where there is no IPv6. */
static void everywhere(struct os_address *found, size_t *count, const struct address *address)
{
	if (*address->host || address_is_local(address) || address->family != AF_UNSPEC)
		return;
	for (size_t i = 0; i < *count; i++)
		if (found[i].u.any.sa_family == AF_INET6 && i > 0) {
			struct os_address first = found[0];

			found[0] = found[i];
			found[i] = first;
		}
}

int listener_open(struct listener *listener, struct mux *mux, const struct address *address,
	const struct socket_options *options)
{
	struct socket_options own = *options;
	struct os_address *found;
	size_t count;
	int error = resolve_now(address, true, &found, &count);

	if (error)
		return error;
	listener->mux = mux;
	listener->scheme = address->scheme;
	listener->sockets = calloc(count, sizeof(*listener->sockets));
	if (!listener->sockets) {
		free(found);
		return -ENOMEM;
	}
	everywhere(found, &count, address);
	own.v6_only = listener->v6_only = *address->host || address->family != AF_UNSPEC;
	for (size_t i = 0; i < count; i++) {
		int failed;

		if (listener->count && !address_is_local(address))
			set_port(&found[i], &listener->sockets[0].bound);
		failed = open_one(listener, &found[i], &own);
		if (!failed && !*address->host && !own.v6_only)
			break; /* one socket serves both families */
		if (failed)
			error = failed;
		if (failed && failed != -EAFNOSUPPORT && failed != -EADDRNOTAVAIL)
			break;
	}
	free(found);
	/* a name may have an address of a family that this machine lacks; one is enough */
	if (listener->count && (error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL))
		error = 0;
	if (error)
		listener_close(listener);
	return error;
}

int listener_join(struct listener *listener, struct mux *mux, const struct listener *first,
	const struct socket_options *options)
{
	struct socket_options own = *options;
	int error = 0;

	listener->mux = mux;
	listener->scheme = first->scheme;
	listener->sockets = calloc(first->count, sizeof(*listener->sockets));
	if (!listener->sockets)
		return -ENOMEM;
	own.v6_only = first->v6_only;
	for (size_t i = 0; i < first->count && !error; i++)
		error = open_one(listener, &first->sockets[i].bound, &own);
	if (error)
		listener_close(listener);
	return error;
}

void listener_resume(struct listener *listener)
{
	listener->running = true;
	for (size_t i = 0; i < listener->count; i++)
		accept_next(&listener->sockets[i]);
}

void listener_pause(struct listener *listener)
{
	listener->running = false;
	for (size_t i = 0; i < listener->count; i++)
		mux_cancel(&listener->sockets[i].op);
}

static void socket_closed(struct mux_io *io)
{
	struct listener_socket *socket = container_of(io, struct listener_socket, io);
	struct listener *listener = socket->listener;

	if (--listener->open == 0) {
		free(listener->sockets);
		listener->sockets = NULL;
	}
}

void listener_close(struct listener *listener)
{
	if (listener->closing)
		return;
	listener->closing = true;
	listener->running = false;
	if (listener->mux)
		mux_timer_stop(&listener->pause);
	for (size_t i = 0; i < listener->count; i++) {
		socket_file_remove(&listener->sockets[i].file);
		mux_close(&listener->sockets[i].io, socket_closed);
	}
	if (!listener->count)
		free(listener->sockets);
	listener->count = 0;
}
