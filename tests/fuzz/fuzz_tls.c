/*
 * libFuzzer: strangers' bytes for either side of TLS. The first byte says how: as what a client or a
 * server receives, or as changes to what the two say to each other. Nothing may crash or leak, and
 * everything has to end.
 */
#include "tls.h"

#include "pipe_stream.h"

enum { CLIENT_HEARS, SERVER_HEARS, TAMPERED, WAYS };
enum { TURNS = 3000, TAMPERINGS = 16 };

struct side {
	struct pipe_stream below;
	struct tls_stream *tls;
	bool closing;
};

static struct mux *mux;
static struct tls_context *contexts[2];
static struct side sides[2];
static const uint8_t *input;
static size_t input_left;
static unsigned turns;

static uint8_t next_byte(void)
{
	if (!input_left)
		return 255;
	input_left--;
	return *input++;
}

static size_t next_size(void)
{
	return (size_t)next_byte() * 4 + 1;
}

static void side_closed(struct stream *stream)
{
	(void)stream;
	mux_release(mux);
}

static void leave(struct side *side)
{
	if (side->closing || !side->tls)
		return;
	side->closing = true;
	stream_close(tls_stream(side->tls), side_closed);
}

static void received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	(void)buf;
	(void)data;
	if (n > 0)
		stream_recv(stream, received);
	else
		leave(stream->owner);
}

static void sent(struct stream *stream, ssize_t result)
{
	if (result < 0)
		leave(stream->owner);
	else
		stream_shutdown(stream);
}

static void ready(struct tls_stream *tls, int error)
{
	struct side *side = tls_owner(tls);
	struct mux_buf *buf;

	if (error) {
		leave(side);
		return;
	}
	buf = mux_buf_new(100);
	memset(buf->data, 'x', buf->size);
	stream_recv(tls_stream(tls), received);
	stream_send(tls_stream(tls), buf, buf->data, buf->size, sent);
	mux_buf_unref(buf);
}

/* Changes what is about to be received, at places and by values that the input chooses. */
static void tamper(unsigned char *bytes, size_t count)
{
	for (int i = 0; i < TAMPERINGS && input_left; i++) {
		uint8_t at = next_byte();

		if (at == 255) /* leave the rest of these bytes alone */
			break;
		bytes[at % count] ^= next_byte();
	}
}

/* The sides that are still there have had their time. */
static void time_over(struct mux_timer *timer)
{
	if (++turns < TURNS && (!sides[0].closing || !sides[1].closing)) {
		mux_timer_start(mux, timer, 0, time_over);
		return;
	}
	leave(&sides[0]);
	leave(&sides[1]);
}

static void start_side(int i)
{
	int error;

	sides[i].tls = tls_over(contexts[i], &sides[i].below.stream, i ? NULL : "localhost", ready,
		&sides[i], &error);
	tls_stream(sides[i].tls)->owner = &sides[i];
	mux_hold(mux);
}

/* All that is left of the input, then the end. */
static void feed(struct pipe_stream *pipe)
{
	size_t n = input_left < PIPE_ROOM ? input_left : PIPE_ROOM;

	memcpy(pipe->room, input, n);
	pipe->filled = n;
	pipe->peer_ended = true;
	input += n;
	input_left -= n;
}

static bool set_up(void)
{
	struct tls_options options = { .insecure = true };
	char text[TLS_TEXT];
	int error;

	if (!contexts[0]) {
		contexts[0] = tls_client(&options, text);
		contexts[1] = tls_server(&options, text, text);
	}
	mux = mux_new("poll", false, &error);
	return mux && contexts[0] && contexts[1];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mux_timer timer = { 0 };
	int way;

	if (!size || !set_up())
		return 0;
	input = data + 1;
	input_left = size - 1;
	way = data[0] % WAYS;
	turns = 0;
	memset(sides, 0, sizeof(sides));
	pipe_open(mux, &sides[0].below, &sides[1].below, next_size);
	if (way == TAMPERED) {
		sides[0].below.tamper = sides[1].below.tamper = tamper;
		start_side(0);
		start_side(1);
	} else {
		int i = way == CLIENT_HEARS ? 0 : 1;

		feed(&sides[i].below);
		start_side(i);
		sides[1 - i].closing = true;
		sides[1 - i].below.deaf = true;
	}
	mux_timer_start(mux, &timer, 0, time_over);
	mux_run(mux);
	mux_timer_stop(&timer);
	mux_free(mux);
	return 0;
}
