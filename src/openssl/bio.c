/* What OpenSSL reads from and writes to: it never waits. */
#include "tls_stream.h"

#include <string.h>

static int bio_read(BIO *bio, char *into, size_t size, size_t *n)
{
	struct tls_stream *tls = openssl.BIO_get_data(bio);

	openssl.BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
	if (!tls->in_left) {
		/* at the end too: OpenSSL would give the sending way up, which is none the worse */
		openssl.BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
		return 0;
	}
	*n = size < tls->in_left ? size : tls->in_left;
	memcpy(into, tls->in_data, *n);
	tls->in_data += *n;
	tls->in_left -= *n;
	if (!tls->in_left) {
		mux_buf_unref(tls->in);
		tls->in = NULL;
	}
	return 1;
}

/* Room for `size` more bytes to go. */
bool tls_make_room(struct tls_stream *tls, size_t size)
{
	struct mux_buf *bigger;
	size_t wanted = tls->out_length + size;

	if (tls->out && wanted <= tls->out->size)
		return true;
	if (tls->out)
		wanted *= 2;
	bigger = mux_buf_new(wanted);
	if (!bigger)
		return false;
	if (tls->out)
		memcpy(bigger->data, tls->out->data, tls->out_length);
	mux_buf_unref(tls->out);
	tls->out = bigger;
	return true;
}

static int bio_write(BIO *bio, const char *from, size_t size, size_t *n)
{
	struct tls_stream *tls = openssl.BIO_get_data(bio);

	openssl.BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
	if (!tls_make_room(tls, size))
		return 0;
	memcpy(tls->out->data + tls->out_length, from, size);
	tls->out_length += size;
	*n = size;
	return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

bool tls_bio_define(void)
{
	if (method)
		return true;
	method = openssl.BIO_meth_new(BIO_TYPE_SOURCE_SINK, "muxcat stream");
	if (!method)
		return false;
	openssl.BIO_meth_set_read_ex(method, bio_read);
	openssl.BIO_meth_set_write_ex(method, bio_write);
	openssl.BIO_meth_set_ctrl(method, bio_control);
	return true;
}

BIO *tls_bio(struct tls_stream *tls)
{
	BIO *bio = openssl.BIO_new(method);

	if (bio) {
		openssl.BIO_set_data(bio, tls);
		openssl.BIO_set_init(bio, 1);
	}
	return bio;
}
