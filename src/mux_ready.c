/* The calls of a handle that a readiness backend watches: the system's, none of which waits. */
#include "mux_loop.h"

static int ready_want(struct mux_io *io, unsigned interest)
{
	return io->mux->backend->want(io->mux->state, io, interest);
}

static void ready_close(struct mux_io *io)
{
	os_close(io->fd, io->kind);
}

static mux_fd ready_accept(struct mux_io *io, struct os_address *peer)
{
	return os_accept(io->fd, peer);
}

static int ready_connect(struct mux_io *io, const struct os_address *to)
{
	return os_connect(io->fd, to);
}

static int ready_connect_result(struct mux_io *io)
{
	return os_connect_result(io->fd);
}

static ssize_t ready_read(struct mux_io *io, void *into, size_t size)
{
	return os_read(io->fd, io->kind, into, size);
}

static ssize_t ready_write(struct mux_io *io, const struct mux_op *op)
{
	return os_write(io->fd, io->kind, op->data + op->moved, op->length - op->moved);
}

static ssize_t ready_recvfrom(struct mux_io *io, void *into, size_t size, struct os_address *from)
{
	return os_recvfrom(io->fd, into, size, from);
}

static ssize_t ready_sendto(struct mux_io *io, const struct mux_op *op)
{
	return os_sendto(io->fd, op->data, op->length, op->address);
}

static ssize_t ready_recv_datagrams(struct mux_io *io, const struct mux_op *op)
{
	return os_recv_datagrams(io->fd, op->datagrams, op->length);
}

static ssize_t ready_send_datagrams(struct mux_io *io, const struct mux_op *op)
{
	return os_send_datagrams(io->fd, op->datagrams + op->moved, op->length - op->moved);
}

const struct mux_calls mux_ready_calls = {
	.want = ready_want,
	.close = ready_close,
	.accept = ready_accept,
	.connect = ready_connect,
	.connect_result = ready_connect_result,
	.read = ready_read,
	.write = ready_write,
	.recvfrom = ready_recvfrom,
	.sendto = ready_sendto,
	.recv_datagrams = ready_recv_datagrams,
	.send_datagrams = ready_send_datagrams,
};
