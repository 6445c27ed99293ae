/*
 * OpenSSL 3, loaded when it is first asked for: whoever uses no TLS does not pay for
 * its start, and muxcat runs where it is not installed. What is used of it is listed here once;
 * its own headers give the types, and a call is written openssl.SSL_new(...).
 */
#ifndef MUXCAT_OPENSSL_LIBRARY_H
#define MUXCAT_OPENSSL_LIBRARY_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* clang-format off */
#define OPENSSL_LIBSSL(X) \
	X(SSL_CTX_check_private_key) X(SSL_CTX_ctrl) X(SSL_CTX_free) X(SSL_CTX_up_ref) \
	X(SSL_CTX_load_verify_dir) X(SSL_CTX_load_verify_file) X(SSL_CTX_new) \
	X(SSL_CTX_set_default_passwd_cb) X(SSL_CTX_set_default_passwd_cb_userdata) X(SSL_CTX_set_alpn_protos) X(SSL_CTX_set_alpn_select_cb) \
	X(SSL_CTX_set_client_CA_list) X(SSL_CTX_set_default_verify_paths) \
	X(SSL_CTX_set_ex_data) X(SSL_CTX_get_ex_data) X(SSL_CTX_get_cert_store) X(SSL_CTX_set_keylog_callback) \
	X(SSL_CTX_set_options) X(SSL_CTX_set_session_id_context) X(SSL_CTX_set_verify) \
	X(SSL_CTX_use_PrivateKey) X(SSL_CTX_use_PrivateKey_file) X(SSL_CTX_use_certificate) \
	X(SSL_CTX_use_certificate_chain_file) X(SSL_do_handshake) X(SSL_free) \
	X(SSL_get0_alpn_selected) X(SSL_get0_param) X(SSL_get0_peer_certificate) \
	X(SSL_CIPHER_get_name) X(SSL_ctrl) X(SSL_get_SSL_CTX) X(SSL_get_current_cipher) \
	X(SSL_get_error) X(SSL_get_verify_result) X(SSL_get_version) X(SSL_has_pending) \
	X(SSL_load_client_CA_file) X(SSL_new) X(SSL_read) \
	X(SSL_set1_host) X(SSL_set_accept_state) X(SSL_set_bio) X(SSL_set_connect_state) \
	X(SSL_set_hostflags) X(SSL_shutdown) X(SSL_write) \
	X(SSL_session_reused) X(SSL_set_cert_cb) X(SSL_version) X(SSL_in_init) X(TLS_client_method) X(TLS_server_method)

#define OPENSSL_LIBCRYPTO(X) \
	X(BIO_clear_flags) X(BIO_get_data) X(BIO_meth_new) X(BIO_meth_set_ctrl) \
	X(BIO_meth_set_read_ex) X(BIO_meth_set_write_ex) X(BIO_new) X(BIO_set_data) \
	X(BIO_set_flags) X(BIO_set_init) X(ERR_clear_error) X(ERR_peek_error) \
	X(ERR_reason_error_string) X(EVP_PKEY_Q_keygen) X(EVP_PKEY_free) X(EVP_sha256) \
	X(OpenSSL_version) X(PEM_def_callback) X(X509_NAME_add_entry_by_txt) X(X509_NAME_print_ex) \
	X(X509V3_EXT_conf_nid) X(X509V3_set_ctx) X(X509_EXTENSION_free) X(X509_add_ext) \
	X(X509_VERIFY_PARAM_set1_ip) X(X509_digest) X(X509_free) X(X509_get_serialNumber) \
	X(X509_get_subject_name) X(X509_getm_notAfter) X(X509_getm_notBefore) \
	X(X509_gmtime_adj) X(X509_new) X(X509_set_issuer_name) X(X509_set_pubkey) \
	X(X509_set_version) X(X509_sign) X(X509_verify_cert_error_string) X(ASN1_INTEGER_set_uint64) \
	X(RAND_bytes) X(BIO_s_mem) X(BIO_read) X(BIO_free) \
	X(d2i_X509) X(X509_STORE_add_cert)
/* clang-format on */

#include <openssl/rand.h>

#define OPENSSL_MEMBER(name) __typeof__(name) *(name);
struct openssl {
	OPENSSL_LIBSSL(OPENSSL_MEMBER)
	OPENSSL_LIBCRYPTO(OPENSSL_MEMBER)
};
#undef OPENSSL_MEMBER

/* Filled in by openssl_load; the process has one copy of the library, and one table of it. */
extern struct openssl openssl;

/* NULL once the library is there, else why it is not. Valid until the next call. */
const char *openssl_load(void);

#endif
