/*
 * The values of options. Each function takes the words of the command line (never NULL) and, where
 * several options have such a value, the option's name; what is no such value ends the program by
 * cli_usage_error.
 */
#ifndef MUXCAT_CLI_VALUE_H
#define MUXCAT_CLI_VALUE_H

#include "options.h"

/* Milliseconds, of decimal seconds; at least one. */
uint64_t cli_seconds(const char *text, const char *option);

/* The same for -q: from 0, or -1. */
int64_t cli_linger(const char *text);

/* A decimal number from `least` to `most`. */
uint64_t cli_number(const char *text, const char *option, uint64_t least, uint64_t most);

/* Bytes, from 1 to `most`: a number that k, M or G may follow. */
uint64_t cli_size(const char *text, const char *option, uint64_t most);

/* The permissions of a file, of octal digits. */
unsigned cli_mode(const char *text);

/* What --slow says. */
enum hub_slow cli_slow(const char *text);

/* `text`, if it names a backend of this build. */
const char *cli_backend(const char *text);

/* What --tls-min says. */
enum tls_version cli_tls_version(const char *text);

/* `text`, if it is names with commas between them, of TLS_ALPN bytes at most. */
const char *cli_alpn(const char *text);

/* `text`, if it is not empty. */
const char *cli_file(const char *text, const char *option);

#endif
