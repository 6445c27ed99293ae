/*
 * A stream over a stream. OpenSSL reads and writes through a BIO that never waits: it takes from
 * what the lower stream has received, where it lies, and appends to what is to be sent. So there is
 * one copy of each byte beside OpenSSL's own, and nothing here knows a socket or a backend.
 *
 * Plaintext is decrypted into the context's buffer when somebody asks for it; what nobody asks for
 * stays encrypted, and then nothing more is received: back-pressure, as below.
 */
#include "tls_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	RECORD = 16 * 1024,  /* the plaintext of a record at most (RFC 8446, section 5.1) */
	PIECE = 4 * RECORD,  /* encrypted, or decrypted, before it moves on */
	OVERHEAD = 512,      /* of a piece, or of a few words of the handshake */
	ALERT_WAIT = 1000,   /* milliseconds for an alert to leave */
	END_WAIT = 10 * 1000 /* for close_notify, behind what the peer has yet to read */
};

static struct tls_stream *tls_of(const struct stream *stream)
{
	return container_of(stream, struct tls_stream, stream);
}

/* ---- sending what is encrypted ---- */

static void lower_sent(struct stream *lower, ssize_t result);

void tls_flush(struct tls_stream *tls)
{
	struct mux_buf *out = tls->out;

	if (!out || tls->lower->sending || tls->out_error)
		return;
	tls->out = NULL;
	stream_send(tls->lower, out, out->data, tls->out_length, lower_sent);
	tls->out_length = 0;
	mux_buf_unref(out);
}

/*
 * While a message of the handshake's kind (a new ticket, a new key) has come in part, OpenSSL neither
 * encrypts nor ends: it has to be tried again after the next receive.
 */
static bool waits_for_input(struct tls_stream *tls, int result)
{
	if (tls->in_ended || tls->in_error ||
		openssl.SSL_get_error(tls->ssl, result) != SSL_ERROR_WANT_READ)
		return false;
	tls->waiting = true;
	tls_ask_for_more(tls);
	return true;
}

/*
 * Nothing more can be encrypted, as for want of memory. The peer is told by an end without close_notify, or
 * it would wait for what never comes, and we for its end.
 */
static void fail_to_encrypt(struct tls_stream *tls)
{
	snprintf(tls->why, sizeof(tls->why), "TLS: %.200s", openssl_reason());
	tls->out_error = TLS_FAILED;
	tls->shutting = true;
	if (!tls->lower->sending)
		stream_shutdown(tls->lower);
	tls_turn_soon(tls);
}

/* One piece of the outstanding send. */
static void encrypt(struct tls_stream *tls)
{
	size_t length = tls->left < PIECE ? tls->left : PIECE;
	int result = -1;

	openssl.ERR_clear_error();
	if (tls_make_room(tls, length + OVERHEAD))
		result = openssl.SSL_write(tls->ssl, tls->data, (int)length);
	if (result != (int)length) {
		if (!waits_for_input(tls, result))
			fail_to_encrypt(tls);
		return;
	}
	tls->piece = length;
	tls->data += length;
	tls->left -= length;
	tls_flush(tls);
}

static void end_send(struct tls_stream *tls, ssize_t result)
{
	mux_buf_unref(tls->plain);
	tls->plain = NULL;
	stream_report_sent(&tls->stream, tls->gone, result);
}

/* Words of TLS's own could not be sent, and the peer waits for them: nobody but who receives can be told. */
static void fail_to_receive(struct tls_stream *tls, int error)
{
	if (!tls->in_error)
		tls->in_error = error;
	tls_turn_soon(tls);
}

static void last_words_sent(struct tls_stream *tls);

static void lower_sent(struct stream *lower, ssize_t result)
{
	struct tls_stream *tls = lower->owner;

	if (result < 0)
		tls->out_error = (int)result;
	else
		tls_flush(tls);
	if (lower->sending)
		return;
	if (tls->stream.closing) {
		last_words_sent(tls);
		return;
	}
	if (result < 0 && !tls->established) {
		tls_turn_soon(tls);
		return;
	}
	if (tls->shutting && !tls->waiting && result >= 0)
		stream_shutdown(lower);
	if (tls->stream.receiving && !tls->receiving)
		tls_ask_for_more(tls); /* if it had to wait for this */
	if (!tls->stream.sending) {
		if (result < 0 && stream_failed_here((int)result))
			fail_to_receive(tls, (int)result);
		return;
	}
	if (result < 0) {
		end_send(tls, result);
		return;
	}
	tls->gone += tls->piece;
	tls->piece = 0;
	if (tls->left)
		encrypt(tls);
	else
		end_send(tls, (ssize_t)tls->gone);
}

static void tls_send(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, size_t length)
{
	struct tls_stream *tls = tls_of(stream);

	tls->plain = mux_buf_ref(buf);
	tls->data = data;
	tls->left = length;
	tls->piece = tls->gone = 0;
	if (tls->out_error)
		tls_turn_soon(tls);
	else
		encrypt(tls);
}

/* ---- receiving ---- */

static void lower_received(
	struct stream *lower, struct mux_buf *buf, const unsigned char *data, ssize_t n);

void tls_ask_for_more(struct tls_stream *tls)
{
	/* not while nobody takes the answers that some of it may call for */
	bool clogged = tls->out_length > PIECE;

	if (!tls->lower->receiving && !tls->in_left && !clogged && !tls->in_ended && !tls->in_error)
		stream_recv(tls->lower, lower_received);
}

/* SSL_read brought nothing: is that the end, an error, or only not yet? */
static void inspect(struct tls_stream *tls, int result)
{
	tls->has_end = true;
	switch (openssl.SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		tls->end = tls->in_ended ? STREAM_TRUNCATED : tls->in_error;
		tls->has_end = tls->end != 0;
		break;
	case SSL_ERROR_ZERO_RETURN:
		tls->end = 0;
		break;
	default:
		tls->end = TLS_FAILED;
		snprintf(tls->why, sizeof(tls->why), "TLS: %.200s", openssl_reason());
		break;
	}
}

/* Decrypts as much as there is into the context's buffer, and returns how much that is. */
static size_t decrypt(struct tls_stream *tls)
{
	struct mux_buf *plain = tls->context->plain;
	size_t length = 0;

	openssl.ERR_clear_error();
	while (length + RECORD <= plain->size) {
		int n = openssl.SSL_read(tls->ssl, plain->data + length, RECORD);

		if (n <= 0) {
			inspect(tls, n);
			break;
		}
		length += (size_t)n;
	}
	tls_flush(tls); /* an answer to what was no data, or an alert */
	return length;
}

static bool provide_buffer(struct tls_context *context)
{
	if (context->plain && context->plain->refs > 1) { /* somebody keeps it */
		mux_buf_unref(context->plain);
		context->plain = NULL;
	}
	if (!context->plain)
		context->plain = mux_buf_new(PIECE);
	return context->plain;
}

/* Called from the loop alone. */
static void receive(struct tls_stream *tls)
{
	struct stream *stream = &tls->stream;

	tls->receiving = true;
	while (stream->receiving && !stream->closing) {
		size_t n = 0;

		if (!provide_buffer(tls->context)) {
			tls->has_end = true;
			tls->end = -ENOMEM;
		}
		if (!tls->has_end)
			n = decrypt(tls);
		if (n)
			stream_report_received(
				stream, tls->context->plain, tls->context->plain->data, (ssize_t)n);
		else if (tls->has_end)
			stream_report_received(stream, NULL, NULL, tls->end);
		else
			break;
	}
	tls->receiving = false;
	if (stream->receiving && !stream->closing)
		tls_ask_for_more(tls);
}

static void send_end(struct tls_stream *tls);

static void stop_waiting(struct tls_stream *tls)
{
	if (!tls->waiting)
		return;
	tls->waiting = false;
	if (tls->stream.sending)
		encrypt(tls);
	else if (tls->shutting)
		send_end(tls);
}

static void lower_received(
	struct stream *lower, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	struct tls_stream *tls = lower->owner;

	if (n > 0) {
		tls->in = mux_buf_ref(buf);
		tls->in_data = data;
		tls->in_left = (size_t)n;
	} else if (n == 0) {
		tls->in_ended = true;
	} else {
		tls->in_error = (int)n;
	}
	if (tls->established) {
		tls->asked = false;
		stop_waiting(tls);
		receive(tls);
	} else {
		tls_handshake(tls);
	}
	if (tls->in) { /* nobody wants it now: it may lie for long */
		struct mux_buf *kept = mux_buf_keep(tls->in, &tls->in_data, tls->in_left);

		if (kept) {
			mux_buf_unref(tls->in);
			tls->in = kept;
		}
	}
}

static void tls_recv(struct stream *stream)
{
	struct tls_stream *tls = tls_of(stream);

	if (tls->receiving)
		return;
	if (tls->in_left || tls->has_end || tls->in_ended || tls->in_error ||
		openssl.SSL_has_pending(tls->ssl))
		tls_turn_soon(tls);
	else
		tls_ask_for_more(tls);
}

static void tls_stop_recv(struct stream *stream)
{
	struct tls_stream *tls = tls_of(stream);

	if (!tls->waiting) /* else it is the sending way that needs what comes */
		stream_stop_recv(tls->lower);
}

static void close_lower(struct tls_stream *tls);

static void turn(struct mux_timer *timer)
{
	struct tls_stream *tls = container_of(timer, struct tls_stream, turn);

	if (tls->stream.closing) { /* the last words have not gone in time */
		close_lower(tls);
		return;
	}
	if (!tls->established) {
		tls_handshake(tls);
		return;
	}
	if (tls->out_error && tls->stream.sending)
		end_send(tls, tls->out_error);
	if (!tls->stream.closing)
		receive(tls);
}

void tls_turn_soon(struct tls_stream *tls)
{
	mux_timer_start(tls->stream.mux, &tls->turn, 0, turn);
}

/* ---- the end ---- */

static void send_end(struct tls_stream *tls)
{
	int result;

	openssl.ERR_clear_error();
	if (openssl.SSL_in_init(tls->ssl)) { /* SSL_shutdown would fail rather than wait */
		result = openssl.SSL_do_handshake(tls->ssl);
		if (result != 1 && waits_for_input(tls, result))
			return;
	}
	openssl.SSL_shutdown(tls->ssl);
	tls_flush(tls);
	if (!tls->lower->sending) /* it could not be said; the lower end comes all the same */
		stream_shutdown(tls->lower);
}

static void tls_shutdown(struct stream *stream)
{
	struct tls_stream *tls = tls_of(stream);

	tls->shutting = true;
	if (!tls->out_error)
		send_end(tls);
}

static void lower_closed(struct stream *lower)
{
	struct tls_stream *tls = lower->owner;

	openssl.SSL_free(tls->ssl);
	mux_buf_unref(tls->in);
	mux_buf_unref(tls->out);
	mux_buf_unref(tls->plain);
	if (tls->stream.closed)
		tls->stream.closed(&tls->stream);
	free(tls);
}

static void close_lower(struct tls_stream *tls)
{
	mux_timer_stop(&tls->turn);
	if (tls->stream.reset)
		stream_reset(tls->lower, 0, lower_closed);
	else
		stream_close(tls->lower, lower_closed);
}

static void drop_received(
	struct stream *lower, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	(void)buf;
	(void)data;
	if (n > 0)
		stream_recv(lower, drop_received);
	else
		close_lower(lower->owner);
}

/*
 * An alert that says why the handshake failed would be lost in the reset that comes of closing a
 * socket with unread input: a client of TLS 1.3 may have sent all it has by then.
 */
static void last_words_sent(struct tls_stream *tls)
{
	if (tls->established || tls->out_error || tls->in_error || tls->in_ended) {
		close_lower(tls);
		return;
	}
	stream_shutdown(tls->lower);
	stream_recv(tls->lower, drop_received);
}

/* A stream that is cut short gets no close_notify. */
static void tls_close(struct stream *stream)
{
	struct tls_stream *tls = tls_of(stream);

	stream_stop_recv(tls->lower);
	if (stream->reset || stream->sending) {
		close_lower(tls);
		return;
	}
	mux_timer_start(stream->mux, &tls->turn, tls->established ? END_WAIT : ALERT_WAIT, turn);
	if (tls->established && !stream->shut)
		tls_shutdown(stream);
	if (!tls->lower->sending)
		last_words_sent(tls);
}

/* ---- the other things that a stream is asked ---- */

static uint64_t tls_moved_at(const struct stream *stream)
{
	return stream_moved_at(tls_of(stream)->lower);
}

static size_t tls_sending(const struct stream *stream)
{
	const struct tls_stream *tls = tls_of(stream);
	size_t under_way = stream_sending(tls->lower);

	return tls->gone + (under_way < tls->piece ? under_way : tls->piece);
}

static size_t tls_unsent(const struct stream *stream)
{
	const struct tls_stream *tls = tls_of(stream);

	bool to_go = tls->out_length || tls->asked; /* which after an error it never will */

	if (tls->lower->sending || (to_go && !tls->out_error))
		return 1; /* at least */
	return tls->lower->kind->unsent(tls->lower);
}

static uint64_t tls_heard(const struct stream *stream)
{
	return tls_of(stream)->lower->bytes_in;
}

static bool tls_is_gone(const struct stream *stream)
{
	const struct stream *lower = tls_of(stream)->lower;

	return lower->kind->is_gone && lower->kind->is_gone(lower);
}

static mux_fd tls_socket(const struct stream *stream)
{
	const struct stream *lower = tls_of(stream)->lower;

	return lower->kind->socket ? lower->kind->socket(lower) : -1;
}

static const char *tls_error(const struct stream *stream, int error)
{
	switch (error) {
	case STREAM_TRUNCATED:
		return "cut short: the end came without TLS's close_notify";
	case TLS_FAILED:
		return tls_of(stream)->why;
	default:
		return os_error(error);
	}
}

const struct stream_kind tls_kind = {
	.recv = tls_recv,
	.send = tls_send,
	.stop_recv = tls_stop_recv,
	.shutdown = tls_shutdown,
	.close = tls_close,
	.moved_at = tls_moved_at,
	.sending = tls_sending,
	.unsent = tls_unsent,
	.heard = tls_heard,
	.is_gone = tls_is_gone,
	.socket = tls_socket,
	.error = tls_error,
};
