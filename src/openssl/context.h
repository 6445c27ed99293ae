/* What the streams of a context share. */
#ifndef MUXCAT_OPENSSL_CONTEXT_H
#define MUXCAT_OPENSSL_CONTEXT_H

#include "library.h"
#include "tls.h"

#include <stdio.h>

struct tls_context {
	SSL_CTX *ssl;
	bool is_server;
	bool insecure;
	char *server_name;     /* to check instead of the host; NULL: none */
	struct mux_buf *plain; /* lent to receivers, as the loop's own */
	FILE *keys;            /* SSLKEYLOGFILE, or NULL */
	unsigned char alpn[TLS_ALPN + 1];
	size_t alpn_length;
};

/* Define the kind of BIO that every stream has, before there are threads; false without memory. */
bool tls_bio_define(void);

/* The reason that OpenSSL gives first for what has just failed. Valid until the next call. */
const char *openssl_reason(void);

/* Have `context` present a certificate made for this run; false and openssl_reason. */
bool certificate_make(SSL_CTX *context, char *fingerprint);

#endif
