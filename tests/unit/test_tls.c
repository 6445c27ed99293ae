/* TLS over streams in memory, which may bring a byte at a time, be cut anywhere, or wait. */
#include "each_loop.h"
#include "openssl/context.h"
#include "tls.h"

#include <dlfcn.h>
#include <errno.h>

#include "pipe_stream.h"

enum { AMOUNT = 300 * 1000, PIECE = 40 * 1000, PATIENCE = 10 * 1000 };

/* One side: sends AMOUNT bytes of a pattern of its own, then its end, and checks what comes. */
struct side {
	struct pipe_stream below;
	struct tls_stream *tls;
	const char *name;
	unsigned char first; /* of what it sends; the peer expects it */
	struct side *peer;
	size_t amount;
	size_t sent;
	size_t received;
	int error; /* the first, of the handshake or of the stream */
	bool ready;
	bool ended;
	bool finished; /* its end has been sent */
	bool closing;
	bool closed;
	bool deaf;       /* receives nothing until it is told to */
	bool keeps_open; /* does not end by itself */
	void (*at_end)(void);
};

static struct side sides[2];
static struct tls_context *contexts[2];

static unsigned char byte_at(unsigned char first, size_t at)
{
	return (unsigned char)(first + at * 7 + at / 251);
}

static void side_closed(struct stream *stream)
{
	struct side *side = stream->owner;

	side->closed = true;
	mux_release(mux);
}

static void leave(struct side *side)
{
	if (side->closing)
		return;
	side->closing = true;
	stream_close(tls_stream(side->tls), side_closed);
}

static void fail_with(struct side *side, int error)
{
	if (!side->error)
		side->error = error;
	leave(side);
}

static void leave_if_done(struct side *side)
{
	if (side->ended && side->finished)
		leave(side);
}

static void received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	struct side *side = stream->owner;

	(void)buf;
	if (n < 0) {
		fail_with(side, (int)n);
		return;
	}
	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(data[i], byte_at(side->peer->first, side->received++));
	if (n > 0) {
		stream_recv(stream, received);
		return;
	}
	side->ended = true;
	if (side->at_end)
		side->at_end();
	leave_if_done(side);
}

static void send_more(struct side *side);

static void sent(struct stream *stream, ssize_t result)
{
	struct side *side = stream->owner;

	if (result < 0)
		fail_with(side, (int)result);
	else
		send_more(side);
}

static void send_more(struct side *side)
{
	size_t rest = side->amount - side->sent;
	size_t length = rest < PIECE ? rest : PIECE;
	struct mux_buf *buf;

	if (!length && side->keeps_open)
		return;
	if (!length) {
		stream_shutdown(tls_stream(side->tls));
		side->finished = true;
		leave_if_done(side);
		return;
	}
	buf = mux_buf_new(length);
	for (size_t i = 0; i < length; i++)
		buf->data[i] = byte_at(side->first, side->sent + i);
	side->sent += length;
	stream_send(tls_stream(side->tls), buf, buf->data, length, sent);
	mux_buf_unref(buf);
}

static void ready(struct tls_stream *tls, int error)
{
	struct side *side = tls_owner(tls);

	if (error) {
		fail_with(side, error);
		return;
	}
	side->ready = true;
	if (!side->deaf)
		stream_recv(tls_stream(tls), received);
	send_more(side);
}

static size_t one_byte(void)
{
	return 1;
}

static size_t all(void)
{
	return PIPE_ROOM;
}

static unsigned long long seed;

static size_t some(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return 1 + (size_t)(seed >> 33) % 3000;
}

static void begin(size_t (*next_receive)(void), size_t amount)
{
	memset(sides, 0, sizeof(sides));
	pipe_open(mux, &sides[0].below, &sides[1].below, next_receive);
	for (int i = 0; i < 2; i++) {
		struct side *side = &sides[i];
		int error;

		side->peer = &sides[1 - i];
		side->first = (unsigned char)(i ? 'b' : 'a');
		side->amount = amount;
		side->tls = tls_over(contexts[i], &side->below.stream, i ? NULL : "localhost",
			ready, side, &error);
		assert_non_null(side->tls);
		tls_stream(side->tls)->owner = side;
		mux_hold(mux);
	}
}

static void run(void)
{
	assert_int_equal(mux_run(mux), 0);
	assert_true(sides[0].closed && sides[1].closed);
}

static void both_have_everything(size_t amount)
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sides[i].error, 0);
		assert_int_equal(sides[i].received, amount);
		assert_true(sides[i].ended);
	}
}

static void both_ways_arrive(void **state)
{
	(void)state;
	begin(all, AMOUNT);
	run();
	both_have_everything(AMOUNT);
}

static void both_ways_arrive_a_byte_at_a_time(void **state)
{
	(void)state;
	begin(one_byte, AMOUNT / 4);
	run();
	both_have_everything(AMOUNT / 4);
}

static void both_ways_arrive_in_pieces_of_any_size(void **state)
{
	(void)state;
	for (seed = 1; seed <= 20; seed++) {
		unsigned long long kept = seed;

		begin(some, AMOUNT / 4);
		run();
		both_have_everything(AMOUNT / 4);
		seed = kept;
	}
}

/* Wherever the connection ends without close_notify, both learn of it, and what came was right. */
static void a_cut_anywhere_is_an_error(void **state)
{
	(void)state;
	for (size_t after = 1; after < 6000; after += after < 3000 ? 61 : 977) {
		begin(all, 10000);
		sides[0].below.cut_after = after;
		run();
		assert_true(sides[0].error == STREAM_TRUNCATED || sides[0].error == TLS_FAILED);
		assert_true(sides[0].received < 10000);
	}
}

/* The client stops receiving so many bytes after its handshake, which may be amid a ticket. */
static size_t stop_after;
static size_t received_in_handshake;
static bool stopped;

static size_t a_few_until_it_stops(void)
{
	struct side *client = &sides[0];

	if (!client->ready)
		received_in_handshake = client->below.received_bytes;
	else if (!stopped && client->below.received_bytes >= received_in_handshake + stop_after) {
		stopped = true;
		stream_stop_recv(tls_stream(client->tls));
	}
	return 37;
}

static void receive_again(void)
{
	assert_int_equal(sides[1].received, AMOUNT);
	stop_after = 2 * AMOUNT; /* from here on it does not stop any more */
	if (stopped)
		stream_recv(tls_stream(sides[0].tls), received);
	stopped = false;
}

/*
 * OpenSSL encrypts nothing while it has half of a message, here a ticket in several records: that is
 * received nevertheless.
 */
static void who_stops_receiving_amid_a_ticket_goes_on_sending(void **state)
{
	(void)state;
	for (size_t after = 1; after < 7000; after += 131) {
		begin(a_few_until_it_stops, AMOUNT);
		stop_after = after;
		seed = after;
		sides[1].below.next_receive = after % 2 ? some : all;
		sides[1].at_end = receive_again;
		run();
		both_have_everything(AMOUNT);
	}
}

static struct mux_timer later;

static void nothing_more_has_come(struct mux_timer *timer)
{
	(void)timer;
	assert_int_equal(sides[0].received, 0);
	assert_true(sides[1].sent < AMOUNT); /* held up by what nobody receives */
	sides[0].deaf = false;
	stream_recv(tls_stream(sides[0].tls), received);
}

static void who_receives_nothing_holds_its_peer_up(void **state)
{
	(void)state;
	begin(all, AMOUNT);
	sides[0].deaf = true;
	mux_timer_start(mux, &later, 200, nothing_more_has_come);
	run();
	both_have_everything(AMOUNT);
}

static void close_it(struct mux_timer *timer)
{
	(void)timer;
	leave(&sides[1]);
	leave(&sides[0]);
}

static void one_may_be_closed_at_any_moment(void **state)
{
	(void)state;
	for (uint64_t after = 0; after < 30; after += 3) {
		begin(one_byte, AMOUNT);
		mux_timer_start(mux, &later, after, close_it);
		run();
	}
}

static int (*encrypt)(SSL *ssl, const void *data, int length);
static uint64_t failed_at;

/* A part of it, and there is no memory for the rest. */
static int encrypt_a_part(SSL *ssl, const void *data, int length)
{
	encrypt(ssl, data, length / 2);
	return -1;
}

static void reset_what_has_failed(struct stream *stream, ssize_t result)
{
	struct side *side = stream->owner;

	assert_int_equal(result, TLS_FAILED);
	failed_at = mux_now(mux);
	side->closing = true;
	stream_reset(stream, PATIENCE, side_closed);
}

static void send_in_vain(struct mux_timer *timer)
{
	struct mux_buf *buf = mux_buf_new(PIECE);

	(void)timer;
	memset(buf->data, 0, PIECE);
	encrypt = openssl.SSL_write;
	openssl.SSL_write = encrypt_a_part;
	stream_send(tls_stream(sides[1].tls), buf, buf->data, PIECE, reset_what_has_failed);
	mux_buf_unref(buf);
}

/* What is encrypted and will never go, since the rest could not be encrypted, is not waited for. */
static void who_cannot_encrypt_is_closed_at_once(void **state)
{
	(void)state;
	begin(all, 0);
	sides[1].keeps_open = true;
	mux_timer_start(mux, &later, 100, send_in_vain);
	run();
	openssl.SSL_write = encrypt;
	assert_true(mux_now(mux) - failed_at < PATIENCE / 2);
}

static int make_ticket_long(SSL *ssl, void *user)
{
	static const unsigned char data[3000];
	SSL_SESSION *(*get_session)(const SSL *) =
		(SSL_SESSION * (*)(const SSL *)) dlsym(user, "SSL_get_session");
	int (*set_data)(SSL_SESSION *, const void *, size_t) = (int (*)(
		SSL_SESSION *, const void *, size_t))dlsym(user, "SSL_SESSION_set1_ticket_appdata");

	return set_data(get_session(ssl), data, sizeof(data));
}

/* The server's tickets take many short records. */
static void make_tickets_long(struct tls_context *server)
{
	void *library = dlopen(OS_LIBSSL, RTLD_NOW);
	int (*set_callback)(SSL_CTX *, SSL_CTX_generate_session_ticket_fn,
		SSL_CTX_decrypt_session_ticket_fn, void *) = (int (*)(SSL_CTX *,
		SSL_CTX_generate_session_ticket_fn, SSL_CTX_decrypt_session_ticket_fn,
		void *))dlsym(library, "SSL_CTX_set_session_ticket_cb");

	assert_non_null(library);
	assert_true(openssl.SSL_CTX_ctrl(server->ssl, SSL_CTRL_SET_MAX_SEND_FRAGMENT, 512, NULL));
	assert_true(set_callback(server->ssl, make_ticket_long, NULL, library));
}

static void make_contexts(void)
{
	struct tls_options options = { .insecure = true };
	char fingerprint[TLS_TEXT];
	char wrong[TLS_TEXT];

	contexts[0] = tls_client(&options, wrong);
	contexts[1] = tls_server(&options, fingerprint, wrong);
	assert_true(contexts[0] && contexts[1]);
	make_tickets_long(contexts[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_A_LOOP(both_ways_arrive),
		ON_A_LOOP(both_ways_arrive_a_byte_at_a_time),
		ON_A_LOOP(both_ways_arrive_in_pieces_of_any_size),
		ON_A_LOOP(a_cut_anywhere_is_an_error),
		ON_A_LOOP(who_stops_receiving_amid_a_ticket_goes_on_sending),
		ON_A_LOOP(who_receives_nothing_holds_its_peer_up),
		ON_A_LOOP(one_may_be_closed_at_any_moment),
		ON_A_LOOP(who_cannot_encrypt_is_closed_at_once),
	};

	int failed;

	if (!tls_is_built_in())
		return 0;
	make_contexts();
	failed = run_on_each_loop("tls", tests, sizeof(tests) / sizeof(tests[0]));
	tls_context_free(contexts[0]);
	tls_context_free(contexts[1]);
	return failed;
}
