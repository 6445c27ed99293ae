/*
 * Two streams joined to each other in memory, for what works over any stream: each receive brings as
 * many bytes as a function says, and what nobody receives holds the sender up.
 */
#ifndef MUXCAT_PIPE_STREAM_H
#define MUXCAT_PIPE_STREAM_H

#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PIPE_ROOM = 8 * 1024 };

struct pipe_stream {
	struct stream stream;
	struct pipe_stream *peer;
	size_t (*next_receive)(void);                       /* bytes, from 1 on */
	void (*tamper)(unsigned char *bytes, size_t count); /* with what is received; or NULL */
	struct mux_timer receive_turn;
	struct mux_timer send_turn;
	unsigned char room[PIPE_ROOM]; /* sent by the peer and not received */
	size_t filled;
	const unsigned char *data; /* the outstanding send */
	struct mux_buf *buf;
	size_t length;
	size_t sent;
	size_t received_bytes;
	size_t cut_after; /* the peer's end comes after so many bytes; 0: never */
	bool peer_ended;
	bool closed;
	bool deaf; /* takes everything and keeps nothing */
};

static struct pipe_stream *pipe_of(const struct stream *stream)
{
	return container_of(stream, struct pipe_stream, stream);
}

static void pipe_deliver(struct mux_timer *timer);
static void pipe_fill(struct mux_timer *timer);

static void pipe_wake(struct pipe_stream *pipe)
{
	if (pipe->stream.receiving && !pipe->closed)
		mux_timer_start(pipe->stream.mux, &pipe->receive_turn, 0, pipe_deliver);
	if (pipe->peer->stream.sending && !pipe->peer->closed)
		mux_timer_start(pipe->stream.mux, &pipe->peer->send_turn, 0, pipe_fill);
}

static void pipe_deliver(struct mux_timer *timer)
{
	struct pipe_stream *pipe = container_of(timer, struct pipe_stream, receive_turn);
	bool cut = pipe->cut_after && pipe->received_bytes >= pipe->cut_after;
	struct mux_buf *buf;
	size_t n = pipe->next_receive();

	if (!pipe->stream.receiving || (!pipe->filled && !pipe->peer_ended && !cut))
		return;
	if (cut || !pipe->filled) {
		stream_report_received(&pipe->stream, NULL, NULL, 0);
		return;
	}
	if (n > pipe->filled)
		n = pipe->filled;
	if (pipe->cut_after && n > pipe->cut_after - pipe->received_bytes)
		n = pipe->cut_after - pipe->received_bytes;
	buf = mux_buf_new(n);
	memcpy(buf->data, pipe->room, n);
	if (pipe->tamper)
		pipe->tamper(buf->data, n);
	pipe->filled -= n;
	memmove(pipe->room, pipe->room + n, pipe->filled);
	pipe->received_bytes += n;
	stream_report_received(&pipe->stream, buf, buf->data, (ssize_t)n);
	mux_buf_unref(buf);
	if (!pipe->closed)
		pipe_wake(pipe);
}

static void pipe_fill(struct mux_timer *timer)
{
	struct pipe_stream *pipe = container_of(timer, struct pipe_stream, send_turn);
	struct pipe_stream *peer = pipe->peer;
	size_t n = pipe->length - pipe->sent;

	if (!pipe->stream.sending)
		return;
	if (peer->closed) {
		mux_buf_unref(pipe->buf);
		stream_report_sent(&pipe->stream, pipe->sent, -EPIPE);
		return;
	}
	if (n > PIPE_ROOM - peer->filled)
		n = PIPE_ROOM - peer->filled;
	if (!peer->deaf) {
		memcpy(peer->room + peer->filled, pipe->data + pipe->sent, n);
		peer->filled += n;
	}
	pipe->sent += n;
	pipe_wake(peer);
	if (pipe->sent < pipe->length)
		return;
	mux_timer_stop(&pipe->send_turn);
	mux_buf_unref(pipe->buf);
	stream_report_sent(&pipe->stream, pipe->sent, (ssize_t)pipe->sent);
}

static void pipe_recv(struct stream *stream)
{
	mux_timer_start(stream->mux, &pipe_of(stream)->receive_turn, 0, pipe_deliver);
}

static void pipe_send(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, size_t length)
{
	struct pipe_stream *pipe = pipe_of(stream);

	pipe->buf = mux_buf_ref(buf);
	pipe->data = data;
	pipe->length = length;
	pipe->sent = 0;
	mux_timer_start(stream->mux, &pipe->send_turn, 0, pipe_fill);
}

static void pipe_stop_recv(struct stream *stream)
{
	mux_timer_stop(&pipe_of(stream)->receive_turn);
}

static void pipe_shutdown(struct stream *stream)
{
	struct pipe_stream *peer = pipe_of(stream)->peer;

	peer->peer_ended = true;
	pipe_wake(peer);
}

static void pipe_over(struct mux_timer *timer)
{
	struct pipe_stream *pipe = container_of(timer, struct pipe_stream, send_turn);

	if (pipe->stream.closed)
		pipe->stream.closed(&pipe->stream);
}

static void pipe_close(struct stream *stream)
{
	struct pipe_stream *pipe = pipe_of(stream);

	mux_timer_stop(&pipe->receive_turn);
	if (stream->sending)
		mux_buf_unref(pipe->buf);
	pipe->closed = true;
	pipe->peer->peer_ended = true;
	if (!pipe->peer->closed) {
		pipe_wake(pipe->peer);
		if (pipe->peer->stream.sending)
			mux_timer_start(stream->mux, &pipe->peer->send_turn, 0, pipe_fill);
	}
	mux_timer_start(stream->mux, &pipe->send_turn, 0, pipe_over);
}

static uint64_t pipe_moved_at(const struct stream *stream)
{
	return mux_now(stream->mux);
}

static size_t pipe_sending(const struct stream *stream)
{
	return pipe_of(stream)->sent;
}

static size_t pipe_unsent(const struct stream *stream)
{
	return pipe_of(stream)->peer->closed ? 0 : pipe_of(stream)->peer->filled;
}

static const struct stream_kind pipe_kind = {
	.recv = pipe_recv,
	.send = pipe_send,
	.stop_recv = pipe_stop_recv,
	.shutdown = pipe_shutdown,
	.close = pipe_close,
	.moved_at = pipe_moved_at,
	.sending = pipe_sending,
	.unsent = pipe_unsent,
};

/* Join two streams; their memory is the caller's, and zeroed. */
static void pipe_open(struct mux *loop, struct pipe_stream *one, struct pipe_stream *other,
	size_t (*next_receive)(void))
{
	struct pipe_stream *both[] = { one, other };

	for (int i = 0; i < 2; i++) {
		memset(both[i], 0, sizeof(*both[i]));
		both[i]->stream.kind = &pipe_kind;
		both[i]->stream.mux = loop;
		both[i]->stream.duplex = true;
		both[i]->peer = both[1 - i];
		both[i]->next_receive = next_receive;
	}
}

#endif
