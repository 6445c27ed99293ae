/* A TLS stream, inside: its BIO, its handshake and its data are a file each. */
#ifndef MUXCAT_OPENSSL_TLS_STREAM_H
#define MUXCAT_OPENSSL_TLS_STREAM_H

#include "context.h"

struct tls_stream {
	struct stream stream;
	struct tls_context *context;
	struct stream *lower;
	SSL *ssl;
	tls_ready *ready;
	void *owner;
	struct mux_timer turn; /* to go on from the loop; when closing, how long at most */

	struct mux_buf *in; /* received and not decrypted */
	const unsigned char *in_data;
	size_t in_left;
	bool in_ended;
	int in_error; /* the lower stream's, 0 none */

	struct mux_buf *out; /* encrypted, not yet passed to the lower stream */
	size_t out_length;
	int out_error;

	struct mux_buf *plain; /* what the outstanding send has left */
	const unsigned char *data;
	size_t left;
	size_t piece; /* of it that is under way */
	size_t gone;

	int end; /* what the next receive will be told, if `has_end` */
	bool has_end;
	bool established;
	bool receiving; /* in receive(): a stream_recv from there needs no turn */
	bool asked;     /* for a certificate: the server has yet to say what it thinks of it */
	bool waiting;   /* to encrypt, or for close_notify, until what is half received is whole */
	bool shutting;  /* close_notify is to be followed by the lower stream's end */
	char name[256]; /* a server's, as it was asked for */
	char why[TLS_TEXT];
	struct handle_stream handle; /* the lower stream, if tls_open made it */
};

/* The BIO through which OpenSSL reads `in` and appends to `out`; NULL when memory is short. */
BIO *tls_bio(struct tls_stream *tls);

/* Room in `out` for `size` more bytes; false when memory is short. */
bool tls_make_room(struct tls_stream *tls, size_t size);

/* Pass what is encrypted to the lower stream, if that is not busy with what came before. */
void tls_flush(struct tls_stream *tls);

/* Have the lower stream receive, unless it does or has ended. */
void tls_ask_for_more(struct tls_stream *tls);

/* Go on with what is next, but from the loop. */
void tls_turn_soon(struct tls_stream *tls);

/* Take the handshake as far as it goes; called from the loop alone. */
void tls_handshake(struct tls_stream *tls);

extern const struct stream_kind tls_kind;

#endif
