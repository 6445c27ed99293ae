#include "context.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *openssl_reason(void)
{
	unsigned long error = openssl.ERR_peek_error();
	const char *reason = openssl.ERR_reason_error_string(error);

	if (ERR_SYSTEM_ERROR(error))
		return strerror(ERR_GET_REASON(error));
	return reason ? reason : "no reason given";
}

const char *tls_library(void)
{
	const char *wrong = openssl_load();
	static char text[TLS_TEXT];

	if (!wrong)
		return openssl.OpenSSL_version(OPENSSL_VERSION);
	snprintf(text, sizeof(text), "OpenSSL 3, not found: %s", wrong);
	return text;
}

bool tls_is_built_in(void)
{
	return true;
}

/* ---- failures: false, and `wrong` says what ---- */

static bool fail(char *wrong, const char *what, const char *why)
{
	snprintf(wrong, TLS_TEXT, "%.150s: %.150s", what, why);
	return false;
}

static bool fail_by_library(char *wrong, const char *what)
{
	return fail(wrong, what, openssl_reason());
}

/* ---- what an option sets ---- */

/* OpenSSL's own would ask stdin where there is no terminal, and take data for a pass phrase. */
static int ask_pass_phrase(char *into, int size, int writing, void *nobody_to_ask)
{
	if (os_has_terminal())
		return openssl.PEM_def_callback(into, size, writing, NULL);
	*(bool *)nobody_to_ask = true;
	return -1;
}

/* What a file lacks has several names, some of which tell nothing ("unsupported"). */
static bool fail_without(char *wrong, const char *file, const char *missing)
{
	int reason = ERR_GET_REASON(openssl.ERR_peek_error());
	bool lacks_it = reason == PEM_R_NO_START_LINE || reason == ERR_R_UNSUPPORTED;

	return fail(wrong, file, lacks_it ? missing : openssl_reason());
}

static bool use_certificate(SSL_CTX *ssl, const struct tls_options *options, char *wrong)
{
	const char *key = options->key ? options->key : options->certificate;
	bool nobody_to_ask = false;
	int used;

	if (!options->certificate)
		return true;
	if (openssl.SSL_CTX_use_certificate_chain_file(ssl, options->certificate) != 1)
		return fail_without(wrong, options->certificate, "no certificate in it");
	openssl.SSL_CTX_set_default_passwd_cb(ssl, ask_pass_phrase);
	openssl.SSL_CTX_set_default_passwd_cb_userdata(ssl, &nobody_to_ask);
	used = openssl.SSL_CTX_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM);
	openssl.SSL_CTX_set_default_passwd_cb_userdata(ssl, NULL);
	if (used != 1)
		return nobody_to_ask ? fail(wrong, key, "encrypted, and no terminal to ask on")
				     : fail_without(wrong, key, "no private key in it");
	/* one of the same kind has failed already if it is another's */
	if (openssl.SSL_CTX_check_private_key(ssl) != 1)
		return fail(wrong, key, "not the key of that certificate");
	return true;
}

static bool trust(SSL_CTX *ssl, const char *ca, char *wrong)
{
	struct stat status;

	if (stat(ca, &status) < 0)
		return fail(wrong, ca, strerror(errno));
	if (S_ISDIR(status.st_mode) ? openssl.SSL_CTX_load_verify_dir(ssl, ca)
				    : openssl.SSL_CTX_load_verify_file(ssl, ca))
		return true;
	return fail_by_library(wrong, ca);
}

/* "h2,http/1.1" becomes what goes over the wire: each name behind its length. */
static void read_alpn(struct tls_context *context, const char *names)
{
	while (names && *names) {
		size_t length = strcspn(names, ",");

		assert(length && context->alpn_length + length + 1 <= sizeof(context->alpn));
		context->alpn[context->alpn_length] = (unsigned char)length;
		memcpy(context->alpn + context->alpn_length + 1, names, length);
		context->alpn_length += length + 1;
		names += length + (names[length] == ',' ? 1 : 0);
	}
}

/* A server's choice: the first of ours that the client has too (RFC 7301, section 3.2). */
static int choose_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *length,
	const unsigned char *theirs, unsigned their_length, void *user)
{
	const struct tls_context *context = user;

	(void)ssl;
	for (size_t i = 0; i < context->alpn_length; i += context->alpn[i] + 1U)
		for (unsigned k = 0; k < their_length; k += theirs[k] + 1U)
			if (theirs[k] == context->alpn[i] && k + theirs[k] < their_length &&
				memcmp(theirs + k + 1, context->alpn + i + 1, theirs[k]) == 0) {
				*chosen = context->alpn + i + 1;
				*length = context->alpn[i];
				return SSL_TLSEXT_ERR_OK;
			}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* For Wireshark: see SSL_CTX_set_keylog_callback(3). */
static void log_key(const SSL *ssl, const char *line)
{
	const struct tls_context *context =
		openssl.SSL_CTX_get_ex_data(openssl.SSL_get_SSL_CTX(ssl), 0);

	fprintf(context->keys, "%s\n", line);
	fflush(context->keys);
}

static bool open_key_log(struct tls_context *context, char *wrong)
{
	const char *path = tls_key_log();
	int fd;

	if (!path)
		return true;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	context->keys = fd < 0 ? NULL : fdopen(fd, "a");
	if (!context->keys)
		return fail(wrong, path, strerror(errno));
	openssl.SSL_CTX_set_ex_data(context->ssl, 0, context);
	openssl.SSL_CTX_set_keylog_callback(context->ssl, log_key);
	return true;
}

const char *tls_key_log(void)
{
	const char *path = getenv("SSLKEYLOGFILE");

	return path && *path ? path : NULL;
}

/* ---- contexts ---- */

static bool set_up(struct tls_context *context, const struct tls_options *options, char *wrong)
{
	SSL_CTX *ssl = context->ssl;
	int least = options->least == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;

	openssl.SSL_CTX_ctrl(ssl, SSL_CTRL_SET_MIN_PROTO_VERSION, least, NULL);
	openssl.SSL_CTX_ctrl(ssl, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, NULL);
	openssl.SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	read_alpn(context, options->alpn);
	return use_certificate(ssl, options, wrong) && open_key_log(context, wrong);
}

static struct tls_context *new_context(
	const SSL_METHOD *(*method)(void), const struct tls_options *options, char *wrong)
{
	struct tls_context *context = calloc(1, sizeof(*context));

	if (context && tls_bio_define())
		context->ssl = openssl.SSL_CTX_new(method());
	if (context && context->ssl && set_up(context, options, wrong))
		return context;
	if (!context || !context->ssl)
		fail(wrong, "OpenSSL", strerror(ENOMEM));
	tls_context_free(context);
	return NULL;
}

/* One that cannot be read, or is there already, does not matter. */
static void trust_certificate(void *user, const unsigned char *der, size_t length)
{
	X509 *certificate = openssl.d2i_X509(NULL, &der, (long)length);

	if (certificate)
		openssl.X509_STORE_add_cert(openssl.SSL_CTX_get_cert_store(user), certificate);
	openssl.X509_free(certificate);
	openssl.ERR_clear_error();
}

static bool trust_as_the_system(SSL_CTX *ssl, char *wrong)
{
	if (openssl.SSL_CTX_set_default_verify_paths(ssl) != 1)
		return fail_by_library(wrong, "the system's trusted certificates");
	os_trusted_certificates(trust_certificate, ssl);
	return true;
}

static bool set_up_client(
	struct tls_context *context, const struct tls_options *options, char *wrong)
{
	SSL_CTX *ssl = context->ssl;

	if (options->server_name && !(context->server_name = strdup(options->server_name)))
		return fail(wrong, "--server-name", strerror(ENOMEM));
	if (context->alpn_length)
		openssl.SSL_CTX_set_alpn_protos(ssl, context->alpn, (unsigned)context->alpn_length);
	context->insecure = options->insecure;
	if (options->insecure)
		return true;
	openssl.SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	if (options->ca)
		return trust(ssl, options->ca, wrong);
	return trust_as_the_system(ssl, wrong);
}

static bool set_up_server(struct tls_context *context, const struct tls_options *options,
	char *fingerprint, char *wrong)
{
	SSL_CTX *ssl = context->ssl;
	STACK_OF(X509_NAME) * names;

	context->is_server = true;
	if (!options->certificate && !certificate_make(ssl, fingerprint))
		return fail_by_library(wrong, "a self-signed certificate");
	if (context->alpn_length)
		openssl.SSL_CTX_set_alpn_select_cb(ssl, choose_alpn, context);
	/* a session may be resumed where it was made (SSL_CTX_set_session_id_context(3)) */
	openssl.SSL_CTX_set_session_id_context(ssl, (const unsigned char *)"muxcat", 6);
	if (!options->client_ca)
		return true;
	names = openssl.SSL_load_client_CA_file(options->client_ca);
	if (!names)
		return fail_by_library(wrong, options->client_ca);
	openssl.SSL_CTX_set_client_CA_list(ssl, names);
	openssl.SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return trust(ssl, options->client_ca, wrong);
}

static bool load(char *wrong)
{
	const char *why = openssl_load();

	if (why)
		return fail(wrong, "OpenSSL 3", why);
	openssl.ERR_clear_error();
	return true;
}

struct tls_context *tls_client(const struct tls_options *options, char *wrong)
{
	struct tls_context *context =
		load(wrong) ? new_context(openssl.TLS_client_method, options, wrong) : NULL;

	if (!context || set_up_client(context, options, wrong))
		return context;
	tls_context_free(context);
	return NULL;
}

struct tls_context *tls_server(const struct tls_options *options, char *fingerprint, char *wrong)
{
	struct tls_context *context =
		load(wrong) ? new_context(openssl.TLS_server_method, options, wrong) : NULL;

	*fingerprint = '\0';
	if (!context || set_up_server(context, options, fingerprint, wrong))
		return context;
	tls_context_free(context);
	return NULL;
}

struct tls_context *tls_context_share(const struct tls_context *context)
{
	struct tls_context *shared = calloc(1, sizeof(*shared));

	if (!shared)
		return NULL;
	shared->is_server = context->is_server;
	shared->ssl = context->ssl;
	openssl.SSL_CTX_up_ref(shared->ssl);
	return shared;
}

void tls_context_free(struct tls_context *context)
{
	if (!context)
		return;
	openssl.SSL_CTX_free(context->ssl);
	mux_buf_unref(context->plain);
	if (context->keys)
		fclose(context->keys);
	free(context->server_name);
	free(context);
}
