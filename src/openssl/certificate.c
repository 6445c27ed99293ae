/* A self-signed certificate for a server that was given none: P-256, valid from now for a year. */
#include "context.h"

#include <string.h>

enum { X509_VERSION_THREE = 2, LIFETIME = 365 * 24 * 60 * 60 };

/* The fingerprint in the form of openssl x509 -fingerprint -sha256. */
static bool write_fingerprint(const X509 *certificate, char *text)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	if (!openssl.X509_digest(certificate, openssl.EVP_sha256(), digest, &length))
		return false;
	for (unsigned i = 0; i < length; i++)
		snprintf(text + 3 * i, 4, "%02X%s", digest[i], i + 1 < length ? ":" : "");
	return true;
}

static bool add_names(X509 *certificate)
{
	char names[] = "DNS:localhost,IP:127.0.0.1,IP:::1";
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool added;

	openssl.X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = openssl.X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names);
	added = extension && openssl.X509_add_ext(certificate, extension, -1);
	openssl.X509_EXTENSION_free(extension);
	return added;
}

static bool fill_in(X509 *certificate, EVP_PKEY *key)
{
	X509_NAME *name = openssl.X509_get_subject_name(certificate);
	uint64_t serial;

	return openssl.RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1 &&
	       openssl.ASN1_INTEGER_set_uint64(
		       openssl.X509_get_serialNumber(certificate), serial >> 1) &&
	       openssl.X509_set_version(certificate, X509_VERSION_THREE) &&
	       openssl.X509_gmtime_adj(openssl.X509_getm_notBefore(certificate), 0) &&
	       openssl.X509_gmtime_adj(openssl.X509_getm_notAfter(certificate), LIFETIME) &&
	       openssl.X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
		       (const unsigned char *)"muxcat, self-signed", -1, -1, 0) &&
	       openssl.X509_set_issuer_name(certificate, name) &&
	       openssl.X509_set_pubkey(certificate, key) && add_names(certificate) &&
	       openssl.X509_sign(certificate, key, openssl.EVP_sha256());
}

bool certificate_make(SSL_CTX *context, char *fingerprint)
{
	EVP_PKEY *key = openssl.EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *certificate = openssl.X509_new();
	bool made = key && certificate && fill_in(certificate, key) &&
		    openssl.SSL_CTX_use_certificate(context, certificate) &&
		    openssl.SSL_CTX_use_PrivateKey(context, key) &&
		    write_fingerprint(certificate, fingerprint);

	openssl.X509_free(certificate);
	openssl.EVP_PKEY_free(key);
	return made;
}
