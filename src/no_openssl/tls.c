/* The build without OpenSSL: no context is made, so nothing here is asked for a stream. */
#include "tls.h"

#include <errno.h>
#include <stdio.h>

const char *tls_library(void)
{
	return "none";
}

bool tls_is_built_in(void)
{
	return false;
}

const char *tls_key_log(void)
{
	return NULL;
}

static struct tls_context *refuse(char *wrong)
{
	snprintf(wrong, TLS_TEXT, "this build has none");
	return NULL;
}

struct tls_context *tls_client(const struct tls_options *options, char *wrong)
{
	(void)options;
	return refuse(wrong);
}

struct tls_context *tls_server(const struct tls_options *options, char *fingerprint, char *wrong)
{
	(void)options;
	*fingerprint = '\0';
	return refuse(wrong);
}

struct tls_context *tls_context_share(const struct tls_context *context)
{
	(void)context;
	return NULL;
}

void tls_context_free(struct tls_context *context)
{
	(void)context;
}

struct tls_stream *tls_open(struct tls_context *context, struct mux *mux, mux_fd fd,
	const char *name, tls_ready *ready, void *owner, int *error)
{
	(void)context;
	(void)mux;
	(void)fd;
	(void)name;
	(void)ready;
	(void)owner;
	*error = -ENOSYS;
	return NULL;
}

struct stream *tls_stream(struct tls_stream *tls)
{
	(void)tls;
	return NULL;
}

void *tls_owner(const struct tls_stream *tls)
{
	(void)tls;
	return NULL;
}

const char *tls_why(const struct tls_stream *tls)
{
	(void)tls;
	return "";
}

const char *tls_describe(const struct tls_stream *tls, char *text)
{
	(void)tls;
	(void)text;
	return "";
}
