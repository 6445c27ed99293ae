/* The handshake, and a stream's beginning before it. */
#include "address.h"
#include "tls_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void fail_handshake(struct tls_stream *tls, int error)
{
	long verified = openssl.SSL_get_verify_result(tls->ssl);
	bool unverified = verified != X509_V_OK && !tls->context->insecure;

	if (error == STREAM_TRUNCATED) {
		snprintf(tls->why, sizeof(tls->why), "TLS handshake: the peer has ended it");
	} else if (error != TLS_FAILED) {
		snprintf(tls->why, sizeof(tls->why), "TLS handshake: %.200s", os_error(error));
	} else if (!unverified) {
		snprintf(tls->why, sizeof(tls->why), "TLS handshake: %.200s", openssl_reason());
	} else {
		error = TLS_UNTRUSTED;
		snprintf(tls->why, sizeof(tls->why), "the certificate of %.120s: %.120s",
			tls->context->is_server ? "the client" : tls->name,
			openssl.X509_verify_cert_error_string(verified));
	}
	tls_flush(tls); /* the alert */
	tls->ready(tls, error);
}

void tls_handshake(struct tls_stream *tls)
{
	int result;

	if (tls->out_error) {
		fail_handshake(tls, tls->out_error);
		return;
	}
	openssl.ERR_clear_error();
	result = openssl.SSL_do_handshake(tls->ssl);
	if (result == 1) {
		tls->established = true;
		tls_flush(tls);
		tls->ready(tls, 0);
		return;
	}
	if (openssl.SSL_get_error(tls->ssl, result) != SSL_ERROR_WANT_READ) {
		fail_handshake(tls, TLS_FAILED);
		return;
	}
	tls_flush(tls);
	if (tls->in_error || tls->in_ended)
		fail_handshake(tls, tls->in_error ? tls->in_error : STREAM_TRUNCATED);
	else
		tls_ask_for_more(tls);
}

/* ---- the beginning ---- */

static bool expect_address(struct tls_stream *tls, const struct os_address *address)
{
	X509_VERIFY_PARAM *checks = openssl.SSL_get0_param(tls->ssl);

	if (address->u.any.sa_family == AF_INET6)
		return openssl.X509_VERIFY_PARAM_set1_ip(
			checks, address->u.v6.sin6_addr.s6_addr, sizeof(struct in6_addr));
	return openssl.X509_VERIFY_PARAM_set1_ip(
		checks, (const unsigned char *)&address->u.v4.sin_addr, sizeof(struct in_addr));
}

/* The dot that makes a name absolute is no part of what is asked for (RFC 6066, section 3). */
static const char *without_last_dot(char *name)
{
	size_t length = strlen(name);

	if (length > 1 && name[length - 1] == '.')
		name[length - 1] = '\0';
	return name;
}

/* The name goes into the ClientHello and is what the certificate has to be for (RFC 6066, 3). */
static bool set_name(struct tls_stream *tls, const char *name)
{
	const struct tls_context *context = tls->context;
	struct os_address numeric;

	if (context->server_name)
		name = context->server_name;
	if (!name)
		return context->insecure;
	snprintf(tls->name, sizeof(tls->name), "%s", name);
	name = without_last_dot(tls->name);
	if (!*name || *name == '.') /* to OpenSSL these are any name, and any below it */
		return false;
	if (address_numeric(name, &numeric))
		return context->insecure || expect_address(tls, &numeric);
	openssl.SSL_ctrl(tls->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
		(void *)(uintptr_t)name);
	openssl.SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return context->insecure || openssl.SSL_set1_host(tls->ssl, name);
}

/*
 * By TLS 1.3 a client has done its handshake, and may have sent all it has, before the server has
 * seen its certificate (RFC 8446, section 4.4): the acknowledgement of TCP is none of the server's.
 */
static int certificate_asked(SSL *ssl, void *user)
{
	struct tls_stream *tls = user;

	tls->asked = !tls->context->is_server && openssl.SSL_version(ssl) == TLS1_3_VERSION;
	return 1;
}

static struct tls_stream *new_stream(struct tls_context *context)
{
	struct tls_stream *tls = calloc(1, sizeof(*tls));
	BIO *bio = NULL;

	if (tls) {
		tls->context = context;
		tls->ssl = openssl.SSL_new(context->ssl);
	}
	if (tls && tls->ssl)
		bio = tls_bio(tls);
	if (bio) {
		openssl.SSL_set_bio(tls->ssl, bio, bio);
		return tls;
	}
	if (tls)
		openssl.SSL_free(tls->ssl);
	free(tls);
	return NULL;
}

static void discard(struct tls_stream *tls)
{
	openssl.SSL_free(tls->ssl);
	free(tls);
}

static bool begin(struct tls_stream *tls, struct stream *lower, const char *name, tls_ready *ready,
	void *owner)
{
	tls->lower = lower;
	tls->stream.kind = &tls_kind;
	tls->stream.mux = lower->mux;
	tls->stream.duplex = true;
	tls->ready = ready;
	tls->owner = owner;
	lower->owner = tls;
	openssl.SSL_set_cert_cb(tls->ssl, certificate_asked, tls);
	if (tls->context->is_server)
		openssl.SSL_set_accept_state(tls->ssl);
	else
		openssl.SSL_set_connect_state(tls->ssl);
	if (!tls->context->is_server && !set_name(tls, name))
		return false;
	tls_turn_soon(tls);
	return true;
}

struct tls_stream *tls_over(struct tls_context *context, struct stream *lower, const char *name,
	tls_ready *ready, void *owner, int *error)
{
	struct tls_stream *tls = new_stream(context);

	*error = -ENOMEM;
	if (!tls || begin(tls, lower, name, ready, owner))
		return tls;
	*error = -EINVAL;
	discard(tls);
	return NULL;
}

struct tls_stream *tls_open(struct tls_context *context, struct mux *mux, mux_fd fd,
	const char *name, tls_ready *ready, void *owner, int *error)
{
	struct tls_stream *tls = new_stream(context);

	*error = -ENOMEM;
	if (!tls)
		return NULL;
	*error = stream_open_socket(mux, &tls->handle, fd, false);
	if (!*error) {
		if (begin(tls, &tls->handle.stream, name, ready, owner))
			return tls;
		mux_detach(&tls->handle.in);
		*error = -EINVAL;
	}
	discard(tls);
	return NULL;
}

struct stream *tls_stream(struct tls_stream *tls)
{
	return &tls->stream;
}

void *tls_owner(const struct tls_stream *tls)
{
	return tls->owner;
}

const char *tls_why(const struct tls_stream *tls)
{
	return tls->why;
}
/* ---- in words ---- */

static void describe_peer(const struct tls_stream *tls, char *text, size_t size)
{
	X509 *certificate = openssl.SSL_get0_peer_certificate(tls->ssl);
	BIO *bio = certificate ? openssl.BIO_new(openssl.BIO_s_mem()) : NULL;
	int length = 0;

	if (bio) {
		openssl.X509_NAME_print_ex(
			bio, openssl.X509_get_subject_name(certificate), 0, XN_FLAG_ONELINE);
		length = openssl.BIO_read(bio, text, (int)size - 1);
		openssl.BIO_free(bio);
	}
	text[length > 0 ? length : 0] = '\0';
}

static const char *describe_check(const struct tls_stream *tls)
{
	if (!openssl.SSL_get0_peer_certificate(tls->ssl))
		return "no certificate";
	if (tls->context->insecure)
		return "not verified";
	return "verified";
}

const char *tls_describe(const struct tls_stream *tls, char *text)
{
	const unsigned char *alpn = NULL;
	unsigned alpn_length = 0;
	char peer[160];

	describe_peer(tls, peer, sizeof(peer));
	openssl.SSL_get0_alpn_selected(tls->ssl, &alpn, &alpn_length);
	snprintf(text, TLS_TEXT, "%s, %s%s%s, %s%s%.*s%s", openssl.SSL_get_version(tls->ssl),
		openssl.SSL_CIPHER_get_name(openssl.SSL_get_current_cipher(tls->ssl)),
		*peer ? ", peer " : "", peer, describe_check(tls), alpn_length ? ", ALPN " : "",
		(int)alpn_length, alpn ? (const char *)alpn : "",
		openssl.SSL_session_reused(tls->ssl) ? ", resumed" : "");
	return text;
}
