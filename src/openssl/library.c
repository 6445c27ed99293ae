#include "library.h"

#include <dlfcn.h>
#include <stdbool.h>

struct openssl openssl;

struct symbol {
	const char *name;
	void **at;
};

#define SYMBOL(name) { #name, (void **)&openssl.name },
static const struct symbol of_libssl[] = { OPENSSL_LIBSSL(SYMBOL) };
static const struct symbol of_libcrypto[] = { OPENSSL_LIBCRYPTO(SYMBOL) };
#undef SYMBOL

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *load(const char *name, const struct symbol *symbols, size_t count)
{
	void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return dlerror();
	for (size_t i = 0; i < count; i++) {
		*symbols[i].at = dlsym(library, symbols[i].name);
		if (!*symbols[i].at)
			return dlerror();
	}
	return NULL;
}

const char *openssl_load(void)
{
	static bool loaded;
	const char *wrong;

	if (loaded)
		return NULL;
	wrong = load("libcrypto.so.3", of_libcrypto, COUNT(of_libcrypto));
	if (!wrong)
		wrong = load("libssl.so.3", of_libssl, COUNT(of_libssl));
	loaded = !wrong;
	return wrong;
}
