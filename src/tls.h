/*
 * TLS over a stream, and itself a stream: what is above cannot tell the two apart. The end of file
 * is TLS's close_notify, each way on its own; a stream that ends without it was cut short, and that
 * is an error (RFC 8446, section 6.1).
 *
 * OpenSSL 3 is loaded when the first context is made, so that nobody else pays for it. A build
 * without it (make TLS=0) has no contexts, and says so.
 */
#ifndef MUXCAT_TLS_H
#define MUXCAT_TLS_H

#include "stream.h"

struct tls_context;
struct tls_stream;

enum { TLS_TEXT = 320, TLS_ALPN = 254 };

/* What a handshake or a stream fails with, beside a negative errno of what is below, and STREAM_TRUNCATED. */
enum {
	TLS_UNTRUSTED = -20002, /* the peer's certificate does not hold */
	TLS_FAILED = -20003,    /* the peer, or what it sent, was refused */
};

enum tls_version { TLS_1_2, TLS_1_3 };

/* The files are PEM, the strings the caller's and needed while the context is made. */
struct tls_options {
	const char *certificate; /* our own, its chain behind it; NULL: none, but see tls_server */
	const char *key;         /* NULL: it lies in `certificate` */
	const char *ca;          /* whom to trust, a file or a folder; NULL: the system's */
	const char *client_ca; /* a server's: whom its clients must be certified by; NULL: no one */
	const char
		*server_name; /* a client's: whom to ask for and to check; NULL: the host dialled */
	const char *alpn; /* protocols by preference, with commas between them and no name empty,
				 TLS_ALPN bytes at most (RFC 7301); NULL: none */
	enum tls_version least;
	bool insecure; /* a client's: check nothing */
};

/* The name and version of the library, or why there is none. Valid until the next call. */
const char *tls_library(void);
bool tls_is_built_in(void);

/* The file to which the keys of every connection are written, by SSLKEYLOGFILE's wish; or NULL. */
const char *tls_key_log(void);

/*
 * Contexts, for clients and for servers. A server without a certificate makes one for itself, and
 * gives its SHA-256 fingerprint in `fingerprint` (TLS_TEXT bytes; empty if it has made none). NULL
 * on failure, and why in `wrong` (TLS_TEXT bytes). A context belongs to one loop's thread.
 */
struct tls_context *tls_client(const struct tls_options *options, char *wrong);
struct tls_context *tls_server(const struct tls_options *options, char *fingerprint, char *wrong);

/* A server's context for the loop of another thread, as `context` is; NULL without memory. Freed before it. */
struct tls_context *tls_context_share(const struct tls_context *context);
void tls_context_free(struct tls_context *context); /* NULL is allowed; its streams are closed */

/* `error` 0: the stream is there. Else it must be closed; tls_why has the words. From the loop. */
typedef void tls_ready(struct tls_stream *tls, int error);

/*
 * Begin the handshake over `fd`, which is connected and is taken on success. `name` is the host to
 * check the certificate for, if the options have none; NULL for a server. `owner` is for `ready`.
 * NULL, and *error as of stream_open_socket: the fd is still the caller's.
 */
struct tls_stream *tls_open(struct tls_context *context, struct mux *mux, mux_fd fd,
	const char *name, tls_ready *ready, void *owner, int *error);

/* The same over any stream, which is closed with it and must live until then. */
struct tls_stream *tls_over(struct tls_context *context, struct stream *lower, const char *name,
	tls_ready *ready, void *owner, int *error);

/*
 * The stream, to be used once it is ready, and closed by stream_close and its like: its memory goes
 * after its `closed`. While the handshake is under way, stream_close takes it back.
 */
struct stream *tls_stream(struct tls_stream *tls);
void *tls_owner(const struct tls_stream *tls);

/* Why the handshake failed, in words. */
const char *tls_why(const struct tls_stream *tls);

/* Protocol, cipher, peer and verification, in words: `text` holds TLS_TEXT bytes. */
const char *tls_describe(const struct tls_stream *tls, char *text);

#endif
