/* What is loaded while the program runs. */
#include "os.h"

#include <dlfcn.h>

void *os_library(const char *name, const char **wrong)
{
	void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		*wrong = dlerror();
	return library;
}

void *os_library_symbol(void *library, const char *name, const char **wrong)
{
	void *symbol = dlsym(library, name);

	if (!symbol)
		*wrong = dlerror();
	return symbol;
}

/* OpenSSL's own paths are the system's store. */
void os_trusted_certificates(os_certificate *each, void *user)
{
	(void)each;
	(void)user;
}
