/*
 * TLS between two relays, by the real OpenSSL at both ends of a wire: what the one outer peer sends comes
 * to the other, each way with its own end; where the wire is cut or reset nobody takes what has come for
 * the whole.
 *
 *	peer - relay - TLS client - wire - TLS server - relay - peer
 */
#include "sim.h"

#include "relay.h"
#include "tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CLIENT, SERVER };
enum { END_WAIT = 10 * 1000 }; /* so long may close_notify take: see openssl/tls.c */

struct half {
	struct handle_stream outer;
	struct sim_socket *socket; /* outer's */
	struct tls_stream *tls;
	struct relay relay;
	bool related; /* the relay has been started */
	bool failed;
	uint64_t left_at;
	uint64_t closed_at;
	unsigned closed;
};

static struct tls_context *shared[2];
static struct tls_context *contexts[2];
static struct half halves[2];
static struct mux *mux;
static struct mux_timer stop;
static bool stopped;

/* ---- OpenSSL's chance and clock, on which the lengths of its messages depend ---- */

static uint64_t drawn;

static int draw(unsigned char *into, int n)
{
	sim_bytes(UINT32_MAX, drawn, into, (size_t)n);
	drawn += (uint64_t)n;
	return 1;
}

static int is_seeded(void)
{
	return 1;
}

/* In place of the C library's, also for what is loaded. */
time_t time(time_t *at)
{
	time_t now = 1700000000 + (time_t)(sim_now / 1000);

	if (at)
		*at = now;
	return now;
}

/* RAND_METHOD of openssl/rand.h, which a build without OpenSSL need not have. */
struct rand_method {
	int (*seed)(const void *from, int n);
	int (*bytes)(unsigned char *into, int n);
	void (*cleanup)(void);
	int (*add)(const void *from, int n, double randomness);
	int (*pseudorand)(unsigned char *into, int n);
	int (*status)(void);
};

static bool draw_for_openssl(void)
{
	static const struct rand_method method = {
		.bytes = draw, .pseudorand = draw, .status = is_seeded
	};
	const char *wrong = NULL;
	void *library = os_library(OS_LIBCRYPTO, &wrong);
	int (*set)(const struct rand_method *) = NULL;

	if (library)
		*(void **)&set = os_library_symbol(library, "RAND_set_rand_method", &wrong);
	return set && set(&method) == 1;
}

bool sim_tls_begin(void)
{
	struct tls_options insecure = { .insecure = true };
	char text[TLS_TEXT];

	if (!tls_is_built_in() || !draw_for_openssl())
		return false;
	shared[CLIENT] = tls_client(&insecure, text);
	shared[SERVER] = tls_server(&insecure, text, text);
	return shared[CLIENT] && shared[SERVER];
}

void sim_tls_end(void)
{
	tls_context_free(shared[CLIENT]);
	tls_context_free(shared[SERVER]);
}

/* ---- a half ---- */

static void note_sent(
	struct sim_socket *socket, uint64_t position, const unsigned char *data, size_t n)
{
	const struct half *half = socket->owner;

	sim_expect(half == &halves[CLIENT] ? SERVER : CLIENT, position, data, n);
}

static struct half *half_of(const struct stream *stream)
{
	const struct half *client = &halves[CLIENT];
	bool is_client = stream == &client->outer.stream || stream == tls_stream(client->tls);

	return &halves[is_client ? CLIENT : SERVER];
}

static void closed(struct stream *stream)
{
	struct half *half = half_of(stream);

	if (++half->closed > 2)
		sim_fail("closed twice");
	if (stream != &half->outer.stream)
		half->closed_at = sim_now;
}

static void close_stream(const struct half *half, struct stream *stream)
{
	if (half->failed)
		stream_reset(stream, half->related && sim_one_in(2) ? 1000 : 0, closed);
	else
		stream_close_gently(stream, 600 * 1000, closed);
}

static void close_half(struct half *half, bool failed)
{
	half->failed = failed;
	half->left_at = sim_now;
	close_stream(half, &half->outer.stream);
	close_stream(half, tls_stream(half->tls));
}

static void done(struct relay *relay)
{
	close_half(relay->owner, relay->reason == RELAY_FAILED);
}

static void ready(struct tls_stream *tls, int error)
{
	struct half *half = tls_owner(tls);
	struct relay_policy policy = { .linger = -1 };

	if (half->related)
		sim_fail("ready twice");
	if (error) {
		close_half(half, true);
		return;
	}
	half->related = true;
	relay_start(&half->relay, &half->outer.stream, tls_stream(tls), &policy, done, half);
}

static void stop_it(struct mux_timer *timer)
{
	struct half *half = &halves[sim_below(2)];

	(void)timer;
	stopped = true;
	if (half->related)
		relay_drain(&half->relay);
}

/* ---- the run ---- */

static void open_half(struct half *half, unsigned side, mux_fd wire)
{
	mux_fd fd = sim_open(&half->socket);
	int error;

	half->socket->owner = half;
	half->socket->sent = note_sent;
	half->socket->source = side;
	half->socket->to_send = sim_one_in(8) ? 0 : sim_some(60 * 1000);
	half->socket->sends_at_most += 200; /* no more pieces than a run has time for */
	half->socket->takes_at_most += 200;
	half->socket->sends_end = true;
	contexts[side] = tls_context_share(shared[side]);
	if (!contexts[side] || stream_open_socket(mux, &half->outer, fd, false))
		sim_fail("cannot open");
	half->tls = tls_open(contexts[side], mux, wire, "localhost", ready, half, &error);
	if (!half->tls)
		sim_fail("cannot open TLS");
}

/* An end that is no reset is behind all that the other peer has sent. */
static void check(const struct half *half, const struct half *other, bool flawless)
{
	const struct sim_socket *socket = half->socket;
	bool ended = socket->end_taken && !socket->lost && !socket->reset;

	if (half->closed != 2)
		sim_fail("the loop ended before all was closed");
	if (ended && !stopped && socket->taken != other->socket->to_send)
		sim_fail("an end behind %llu of %llu bytes", (unsigned long long)socket->taken,
			(unsigned long long)other->socket->to_send);
	if (other->closed_at - other->left_at >= END_WAIT)
		return; /* it had to leave without a close_notify */
	if (flawless && !stopped && (half->failed || !ended))
		sim_fail("it failed without a fault: %s",
			half->related ? os_error(half->relay.error) : tls_why(half->tls));
}

void sim_tls(void)
{
	struct sim_faults faults = sim_faults;
	bool flawless = !faults.reset && !faults.transfer && !faults.memory;
	struct sim_socket *wire;
	mux_fd wires[2];
	int error;

	memset(halves, 0, sizeof(halves));
	memset(&stop, 0, sizeof(stop));
	stopped = false;
	drawn = 0;
	sim_faults = (struct sim_faults){ 0 };
	mux = mux_new(sim_backend, sim_edge, &error);
	for (unsigned side = 0; side < 2; side++) {
		wires[side] = sim_open(&wire);
		wire->sends_at_most += 200;
		wire->takes_at_most += 200;
	}
	sim_join(wires[CLIENT], wires[SERVER]);
	for (unsigned side = 0; side < 2; side++)
		open_half(&halves[side], side, wires[side]);
	sim_faults = faults;
	if (sim_one_in(8))
		mux_timer_start(mux, &stop, sim_some(1000), stop_it);
	error = mux_run(mux);
	sim_faults = (struct sim_faults){ 0 };
	if (error)
		sim_fail("the loop failed: %s", os_error(error));
	mux_timer_stop(&stop);
	mux_free(mux);
	sim_act_to_the_end();
	for (unsigned side = 0; side < 2; side++) {
		check(&halves[side], &halves[1 - side], flawless);
		tls_context_free(contexts[side]);
	}
}
