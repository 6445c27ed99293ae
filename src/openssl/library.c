#include "library.h"

#include "os.h"

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
	const char *wrong = NULL;
	void *library = os_library(name, &wrong);

	for (size_t i = 0; library && !wrong && i < count; i++)
		*symbols[i].at = os_library_symbol(library, symbols[i].name, &wrong);
	return wrong;
}

const char *openssl_load(void)
{
	static bool loaded;
	const char *wrong;

	if (loaded)
		return NULL;
	wrong = load(OS_LIBCRYPTO, of_libcrypto, COUNT(of_libcrypto));
	if (!wrong)
		wrong = load(OS_LIBSSL, of_libssl, COUNT(of_libssl));
	loaded = !wrong;
	return wrong;
}
