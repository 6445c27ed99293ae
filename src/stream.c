#include "stream.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* How often a gentle close asks whether the peer has everything, in milliseconds. */
enum { LINGER_STEP = 20 };

/* What a peer that goes on talking after our end has to come to its own, in milliseconds. */
enum { LAST_TALK = 1000 };

/* How often to look whether a peer that has sent its end is still there. */
enum { GONE_STEP = 5000 };

void stream_report_received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	stream->receiving = false;
	if (n > 0)
		stream->bytes_in += (uint64_t)n;
	if (n == 0 && !stream->datagram)
		stream->ended = true;
	stream->received(stream, buf, data, n);
}

void stream_report_sent(struct stream *stream, size_t moved, ssize_t result)
{
	stream->sending = false;
	stream->bytes_out += moved;
	stream->sent(stream, result);
}

/* ---- handles: sockets, and stdin with stdout ---- */

static struct handle_stream *handle_of(const struct stream *stream)
{
	return container_of(stream, struct handle_stream, stream);
}

static void handle_recv(struct stream *stream);

static void handle_received(struct mux_op *op, ssize_t n)
{
	struct handle_stream *handle = container_of(op, struct handle_stream, recv_op);

	if (handle->stream.closing)
		return;
	if (n == -ECANCELED) {
		if (handle->stream.receiving) /* taken back, and then asked for again */
			handle_recv(&handle->stream);
		return;
	}
	stream_report_received(&handle->stream, op->buf, op->data, n);
}

static void handle_recv(struct stream *stream)
{
	struct handle_stream *handle = handle_of(stream);

	if (mux_op_outstanding(&handle->recv_op))
		return; /* its cancelled predecessor has yet to call back */
	if (stream->datagram)
		mux_recvfrom(&handle->in, &handle->recv_op, NULL, handle_received);
	else
		mux_recv(&handle->in, &handle->recv_op, handle_received);
}

bool stream_failed_here(int error)
{
	return error == -ENOMEM || error == -ENOBUFS;
}

static void handle_sent(struct mux_op *op, ssize_t result)
{
	struct handle_stream *handle = container_of(op, struct handle_stream, send_op);

	if (result == -ECANCELED || handle->stream.closing)
		return;
	stream_report_sent(&handle->stream, op->moved, result);
}

static void handle_send(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, size_t length)
{
	struct handle_stream *handle = handle_of(stream);

	if (stream->datagram)
		mux_sendto(handle->out, &handle->send_op, buf, data, length, NULL, handle_sent);
	else
		mux_send(handle->out, &handle->send_op, buf, data, length, handle_sent);
}

static bool handle_send_now(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, size_t length)
{
	struct handle_stream *handle = handle_of(stream);

	if (!stream->datagram)
		return mux_send_now(handle->out, &handle->send_op, buf, data, length, handle_sent);
	handle_send(stream, buf, data, length);
	return false;
}

static void handle_stop_recv(struct stream *stream)
{
	mux_cancel(&handle_of(stream)->recv_op);
}

static void socket_shutdown(struct stream *stream)
{
	os_shutdown_write(handle_of(stream)->out->fd);
}

static void socket_closed(struct mux_io *io)
{
	struct handle_stream *handle = container_of(io, struct handle_stream, in);

	if (handle->stream.closed)
		handle->stream.closed(&handle->stream);
}

static void socket_close(struct stream *stream)
{
	if (stream->reset)
		os_reset_on_close(handle_of(stream)->in.fd, true);
	mux_close(&handle_of(stream)->in, socket_closed);
}

static uint64_t handle_moved_at(const struct stream *stream)
{
	const struct handle_stream *handle = handle_of(stream);
	uint64_t in = handle->in.moved_at;
	uint64_t out = handle->out->moved_at;

	return in > out ? in : out;
}

static size_t handle_sending(const struct stream *stream)
{
	return handle_of(stream)->send_op.moved;
}

static size_t handle_unsent(const struct stream *stream)
{
	return os_unsent(handle_of(stream)->out->fd);
}

static bool handle_is_gone(const struct stream *stream)
{
	return os_peer_is_gone(handle_of(stream)->in.fd);
}

static mux_fd handle_socket(const struct stream *stream)
{
	return handle_of(stream)->in.fd;
}

static void handle_recv_in_bulk(struct stream *stream)
{
	mux_in_bulk(&handle_of(stream)->in);
}

static void handle_send_in_bulk(struct stream *stream)
{
	mux_in_bulk(handle_of(stream)->out);
}

static const struct stream_kind socket_kind = {
	.recv = handle_recv,
	.send = handle_send,
	.send_now = handle_send_now,
	.stop_recv = handle_stop_recv,
	.shutdown = socket_shutdown,
	.close = socket_close,
	.moved_at = handle_moved_at,
	.sending = handle_sending,
	.unsent = handle_unsent,
	.is_gone = handle_is_gone,
	.socket = handle_socket,
	.only_sends = true,
};

static struct stdio_stream *stdio_of(struct stream *stream)
{
	return container_of(handle_of(stream), struct stdio_stream, handle);
}

static void stdio_handle_closed(struct stdio_stream *stdio)
{
	struct stream *stream = &stdio->handle.stream;

	if (--stdio->open == 0 && stream->closed)
		stream->closed(stream);
}

static void stdin_closed(struct mux_io *io)
{
	os_release_standard(0);
	stdio_handle_closed(container_of(io, struct stdio_stream, handle.in));
}

static void stdout_closed(struct mux_io *io)
{
	os_release_standard(1);
	stdio_handle_closed(container_of(io, struct stdio_stream, output));
}

static void stdio_shutdown(struct stream *stream)
{
	struct stdio_stream *stdio = stdio_of(stream);

	/* under inetd(8) both are one connection, which the close of its stdout does not end */
	if (stdio->output.kind == OS_SOCKET && os_is_same(stdio->handle.in.fd, stdio->output.fd))
		os_shutdown_write(stdio->output.fd);
	mux_close(&stdio->output, stdout_closed);
}

static void stdio_close(struct stream *stream)
{
	struct stdio_stream *stdio = stdio_of(stream);

	if (!stream->shut)
		mux_close(&stdio->output, stdout_closed);
	mux_close(&stdio->handle.in, stdin_closed);
}

static size_t stdio_unsent(const struct stream *stream)
{
	(void)stream; /* a write to a file or pipe is delivered */
	return 0;
}

static const char *stdio_error(const struct stream *stream, int error)
{
	(void)stream;
	if (error == MUX_SHORTENED)
		return "the file became shorter while it was sent";
	return os_error(error == MUX_UNREADABLE ? -EIO : error);
}

static const struct stream_kind stdio_kind = {
	.recv = handle_recv,
	.send = handle_send,
	.send_now = handle_send_now,
	.stop_recv = handle_stop_recv,
	.shutdown = stdio_shutdown,
	.close = stdio_close,
	.moved_at = handle_moved_at,
	.sending = handle_sending,
	.unsent = stdio_unsent,
	.error = stdio_error,
	.recv_in_bulk = handle_recv_in_bulk,
	.send_in_bulk = handle_send_in_bulk,
};

static void start(struct mux *mux, struct handle_stream *handle, const struct stream_kind *kind)
{
	memset(&handle->stream, 0, sizeof(handle->stream));
	memset(&handle->recv_op, 0, sizeof(handle->recv_op));
	memset(&handle->send_op, 0, sizeof(handle->send_op));
	handle->stream.mux = mux;
	handle->stream.kind = kind;
}

int stream_open_socket(struct mux *mux, struct handle_stream *handle, mux_fd fd, bool datagram)
{
	int error = mux_attach(mux, &handle->in, fd, OS_SOCKET);

	if (error)
		return error;
	start(mux, handle, &socket_kind);
	handle->out = &handle->in;
	handle->stream.datagram = datagram;
	handle->stream.duplex = true;
	return 0;
}

int stream_open_stdio(struct mux *mux, struct stdio_stream *stdio)
{
	enum os_kind in_kind;
	enum os_kind out_kind;
	mux_fd in = os_stdin(&in_kind);
	mux_fd out = os_stdout(&out_kind);
	int error = in < 0 ? in : out < 0 ? out : 0;

	if (!error)
		error = mux_attach(mux, &stdio->handle.in, in, in_kind);
	if (!error) {
		error = mux_attach(mux, &stdio->output, out, out_kind);
		if (error)
			mux_detach(&stdio->handle.in);
	}
	if (error) {
		if (in >= 0)
			os_close(in, in_kind);
		if (out >= 0)
			os_close(out, out_kind);
		return error;
	}
	start(mux, &stdio->handle, &stdio_kind);
	stdio->handle.out = &stdio->output;
	stdio->open = 2;
	return 0;
}

bool stream_input_is_terminal(void)
{
	return os_is_terminal(0);
}

/* ---- every kind ---- */

void stream_expect(const struct stream *stream)
{
	enum { LINE = 64 };

	for (size_t i = 0; i < sizeof(struct handle_stream); i += LINE)
		__builtin_prefetch((const char *)stream + i, 1);
}

void stream_recv(struct stream *stream, stream_received *received)
{
	assert(!stream->receiving);
	stream->receiving = true;
	stream->received = received;
	stream->kind->recv(stream);
}

void stream_recv_for(struct stream *from, struct stream *to)
{
	if (to->kind->send_in_bulk && !from->datagram)
		to->kind->send_in_bulk(to);
	if (from->kind->recv_in_bulk && to->kind->only_sends && !to->datagram)
		from->kind->recv_in_bulk(from);
}

void stream_stop_recv(struct stream *stream)
{
	if (!stream->receiving)
		return;
	stream->receiving = false;
	stream->kind->stop_recv(stream);
}

void stream_send(struct stream *stream, struct mux_buf *buf, const unsigned char *data,
	size_t length, stream_sent *sent)
{
	assert(!stream->sending && !stream->shut);
	stream->sending = true;
	stream->sent = sent;
	stream->kind->send(stream, buf, data, length);
}

bool stream_send_now(struct stream *stream, struct mux_buf *buf, const unsigned char *data,
	size_t length, stream_sent *sent)
{
	if (!stream->kind->send_now) {
		stream_send(stream, buf, data, length, sent);
		return false;
	}
	assert(!stream->sending && !stream->shut);
	stream->sent = sent;
	stream->sending = !stream->kind->send_now(stream, buf, data, length);
	if (!stream->sending)
		stream->bytes_out += length;
	return !stream->sending;
}

size_t stream_sending(const struct stream *stream)
{
	return stream->sending ? stream->kind->sending(stream) : 0;
}

void stream_shutdown(struct stream *stream)
{
	assert(!stream->sending);
	if (stream->shut || stream->datagram)
		return;
	stream->kind->shutdown(stream);
	stream->shut = true;
}

uint64_t stream_moved_at(const struct stream *stream)
{
	return stream->kind->moved_at(stream);
}

static void idle_check(struct mux_timer *timer)
{
	struct stream *stream = container_of(timer, struct stream, timer);
	uint64_t quiet = mux_now(stream->mux) - stream_moved_at(stream);

	if (quiet >= stream->idle_after)
		stream->idle(stream);
	else
		mux_timer_start(stream->mux, timer, stream->idle_after - quiet, idle_check);
}

void stream_watch_idle(struct stream *stream, uint64_t after, stream_idle *idle)
{
	stream->idle_after = after;
	stream->idle = idle;
	if (after)
		mux_timer_start(stream->mux, &stream->timer, after, idle_check);
	else
		mux_timer_stop(&stream->timer);
}

static void gone_check(struct mux_timer *timer)
{
	struct stream *stream = container_of(timer, struct stream, timer);

	if (stream->kind->is_gone(stream))
		stream->gone(stream);
	else
		mux_timer_start(stream->mux, timer, GONE_STEP, gone_check);
}

void stream_watch_gone(struct stream *stream, stream_gone *gone)
{
	if (!stream->kind->is_gone || mux_timer_armed(&stream->timer))
		return;
	os_keep_asking(stream->kind->socket(stream));
	stream->gone = gone;
	mux_timer_start(stream->mux, &stream->timer, GONE_STEP, gone_check);
}

void stream_close(struct stream *stream, stream_closed *closed)
{
	mux_timer_stop(&stream->timer);
	stream->closed = closed;
	stream->closing = true;
	stream->kind->close(stream);
}

void stream_reset_at_exit(struct stream *stream, bool reset)
{
	if (stream->kind->socket)
		os_reset_on_close(stream->kind->socket(stream), reset);
}

const char *stream_error(const struct stream *stream, int error)
{
	return stream->kind->error ? stream->kind->error(stream, error) : os_error(error);
}

/* ---- the gentle close ---- */

static void drop_received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	(void)buf;
	(void)data;
	if (n > 0) {
		stream_recv(stream, drop_received);
		return;
	}
	if (!stream->reset && n != STREAM_TRUNCATED) /* nobody listens to it any more */
		stream->refused = (int)n;
	if (n < 0 || !stream->reset) /* before a reset, what was sent must have arrived */
		stream_close(stream, stream->closed);
}

static uint64_t heard(const struct stream *stream)
{
	return stream->kind->heard ? stream->kind->heard(stream) : stream->bytes_in;
}

/* To leave a peer that talks is to reset it, and what it has is not what it has read. */
static void linger_check(struct mux_timer *timer)
{
	struct stream *stream = container_of(timer, struct stream, timer);
	uint64_t now = mux_now(stream->mux);
	bool unsent = stream->kind->unsent(stream) != 0;
	bool talks = heard(stream) != stream->linger_heard;

	if (!unsent && !stream->acknowledged) {
		stream->acknowledged = true;
		if (stream->linger_until > now + LAST_TALK)
			stream->linger_until = now + LAST_TALK;
	}
	if ((!unsent && (stream->reset || !talks)) || now >= stream->linger_until)
		stream_close(stream, stream->closed);
	else
		mux_timer_start(stream->mux, timer, LINGER_STEP, linger_check);
}

static void linger(struct stream *stream, uint64_t patience, stream_closed *closed)
{
	stream->closed = closed;
	/* our end may be acknowledged at once: whoever has talked is listened to before it counts as silent */
	mux_timer_start(stream->mux, &stream->timer,
		!stream->reset && heard(stream) ? LINGER_STEP : 0, linger_check);
	stream->linger_until = mux_now(stream->mux) + patience;
	stream->linger_heard = heard(stream);
	if (stream->receiving)
		stream->received = drop_received;
	else if (!stream->ended)
		stream_recv(stream, drop_received);
}

void stream_close_gently(struct stream *stream, uint64_t patience, stream_closed *closed)
{
	if (stream->sending || stream->datagram || stream->ended) {
		stream_close(stream, closed);
		return;
	}
	stream_shutdown(stream);
	linger(stream, patience, closed);
}

void stream_reset(struct stream *stream, uint64_t patience, stream_closed *closed)
{
	stream->reset = true;
	if (stream->sending || stream->datagram || !patience)
		stream_close(stream, closed);
	else {
		stream_reset_at_exit(stream, true);
		linger(stream, patience, closed);
	}
}
