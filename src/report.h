/*
 * What a user is told: one line on stderr each, "muxcat: " first. Only the commands and cli.c
 * speak; everything below them returns its errors.
 */
#ifndef MUXCAT_REPORT_H
#define MUXCAT_REPORT_H

#include "connection.h"

/* -1: only what ends the program; 0: errors and warnings; 1: connections; 2: everything. */
void report_verbosity(int level);

/* The reason why the program fails: always printed. */
void report_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Something is lost or delayed, but the program goes on: not with --quiet. */
void report_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An event, for -v (`level` 1) or -vv (2). */
void report_event(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The events of every connection's life. `why` is "end of file", or what ended it. */
void report_listening(const struct os_address *bound, const struct address *address);
void report_accepted(const struct connection *connection);
void report_connected(const struct connection *connection);
void report_closed(const struct connection *connection, const char *why);

#endif
