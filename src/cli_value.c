#include "cli_value.h"

#include "cli_check.h"

#include <stdlib.h>
#include <string.h>

/* strtod(3) would take hexadecimal, infinity and signs too. */
static bool is_decimal(const char *text)
{
	return *text && strspn(text, "0123456789.") == strlen(text) && strcmp(text, ".") != 0;
}

uint64_t cli_seconds(const char *text, const char *option)
{
	char *end;
	double seconds = strtod(text, &end);

	if (!is_decimal(text) || *end || !(seconds >= 0.001) || seconds > 1e9)
		cli_usage_error(
			"'%.200s': %s takes a number of seconds from 0.001 to 1e9", text, option);
	return (uint64_t)(seconds * 1000);
}

int64_t cli_linger(const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (strcmp(text, "-1") == 0)
		return -1;
	if (!is_decimal(text) || *end || seconds > 1e9)
		cli_usage_error("'%.200s': -q takes a number of seconds, or -1", text);
	return (int64_t)(seconds * 1000);
}

uint64_t cli_number(const char *text, const char *option, uint64_t least, uint64_t most)
{
	char *end;
	unsigned long long number = strtoull(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || number < least || number > most)
		cli_usage_error("'%.200s': %s takes a number from %llu to %llu", text, option,
			(unsigned long long)least, (unsigned long long)most);
	return number;
}

uint64_t cli_size(const char *text, const char *option, uint64_t most)
{
	static const char units[] = "kMG";
	char *end;
	unsigned long long size = strtoull(text, &end, 10);
	uint64_t unit = 1;

	if (*end) {
		const char *found = strchr(units, *end == 'K' ? 'k' : *end == 'm' ? 'M' : *end);

		if (found)
			unit = (uint64_t)1 << (10 * (found - units + 1));
		end += found ? 1 : 0;
	}
	if (text[0] < '0' || text[0] > '9' || *end || !size || size > most / unit)
		cli_usage_error("'%.200s': %s takes a size from 1 to %llu (k, M, G)", text, option,
			(unsigned long long)most);
	return size * unit;
}

unsigned cli_mode(const char *text)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (text[0] < '0' || text[0] > '7' || *end || !mode || mode > 0777)
		cli_usage_error("'%.200s': --mode takes an octal number from 1 to 777", text);
	return (unsigned)mode;
}

enum hub_slow cli_slow(const char *text)
{
	if (strcmp(text, "wait") == 0)
		return HUB_WAIT;
	if (strcmp(text, "drop") == 0)
		return HUB_DROP;
	if (strcmp(text, "close") == 0)
		return HUB_CLOSE;
	cli_usage_error("'%.200s': --slow is wait, drop or close", text);
}

const char *cli_backend(const char *text)
{
	char known[128] = "";

	for (const char *const *name = mux_backends(); *name; name++) {
		if (strcmp(*name, text) == 0)
			return text;
		if (*known)
			strcat(known, ", ");
		strcat(known, *name);
	}
	cli_usage_error("'%.200s': this build's backends are %s", text, known);
}

enum tls_version cli_tls_version(const char *text)
{
	if (strcmp(text, "1.2") != 0 && strcmp(text, "1.3") != 0)
		cli_usage_error("'%.200s': --tls-min is 1.2 or 1.3", text);
	return text[2] == '2' ? TLS_1_2 : TLS_1_3;
}

const char *cli_alpn(const char *text)
{
	size_t length = strlen(text);

	if (!length || length > TLS_ALPN || *text == ',' || text[length - 1] == ',' ||
		strstr(text, ",,"))
		cli_usage_error("'%.200s': --alpn takes names with commas between them", text);
	return text;
}

const char *cli_file(const char *text, const char *option)
{
	if (!*text)
		cli_usage_error("%s needs the name of a file", option);
	return text;
}
