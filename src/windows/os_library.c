/* What is loaded while the program runs: libraries, and the certificates that Windows trusts. */
#include "os.h"

#include <stdio.h>

#include <wincrypt.h>

static const char *last_error(const char *name)
{
	static char text[200];

	snprintf(text, sizeof(text), "%s: %s", name, os_error(os_windows_error(GetLastError())));
	return text;
}

/*
 * Never from the current folder, where anybody may have put one ("Dynamic-Link Library Security",
 * MSDN).
 */
void *os_library(const char *name, const char **wrong)
{
	void *library = LoadLibraryExA(
		name, NULL, LOAD_LIBRARY_SEARCH_APPLICATION_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);

	if (!library)
		*wrong = last_error(name);
	return library;
}

void *os_library_symbol(void *library, const char *name, const char **wrong)
{
	void *symbol = (void *)(intptr_t)GetProcAddress(library, name);

	if (!symbol)
		*wrong = last_error(name);
	return symbol;
}

/* The functions of crypt32.dll that are needed, loaded when they are: most runs use no TLS. */
struct store {
	HCERTSTORE(WINAPI *open)(HCRYPTPROV_LEGACY, const char *);
	const CERT_CONTEXT *(WINAPI *next)(HCERTSTORE, const CERT_CONTEXT *);
	BOOL(WINAPI *close)(HCERTSTORE, DWORD);
};

static bool load_store(struct store *store)
{
	const char *wrong;
	void *library = os_library("crypt32.dll", &wrong);

	if (!library)
		return false;
	store->open = os_library_symbol(library, "CertOpenSystemStoreA", &wrong);
	store->next = os_library_symbol(library, "CertEnumCertificatesInStore", &wrong);
	store->close = os_library_symbol(library, "CertCloseStore", &wrong);
	return store->open && store->next && store->close;
}

void os_trusted_certificates(os_certificate *each, void *user)
{
	const CERT_CONTEXT *certificate = NULL;
	struct store store;
	HCERTSTORE roots;

	if (!load_store(&store))
		return;
	roots = store.open(0, "ROOT");
	if (!roots)
		return;
	while ((certificate = store.next(roots, certificate)))
		each(user, certificate->pbCertEncoded, certificate->cbCertEncoded);
	store.close(roots, 0);
}
