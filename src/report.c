#include "report.h"

#include <stdarg.h>
#include <stdio.h>

static int verbosity;

void report_verbosity(int level)
{
	verbosity = level;
}

/* One write, so that lines of several processes do not mix. */
static void print(const char *format, va_list arguments)
{
	char line[1024] = "muxcat: ";
	int length = 8 + vsnprintf(line + 8, sizeof(line) - 9, format, arguments);

	if (length > (int)sizeof(line) - 2)
		length = (int)sizeof(line) - 2;
	for (int i = 0; i < length; i++) /* one line, whatever words a user or a file had */
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[length++] = '\n';
	fwrite(line, 1, (size_t)length, stderr);
}

void report_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print(format, arguments);
	va_end(arguments);
}

void report_warning(const char *format, ...)
{
	va_list arguments;

	if (verbosity < 0)
		return;
	va_start(arguments, format);
	print(format, arguments);
	va_end(arguments);
}

void report_event(int level, const char *format, ...)
{
	va_list arguments;

	if (verbosity < level)
		return;
	va_start(arguments, format);
	print(format, arguments);
	va_end(arguments);
}

void report_listening(const struct os_address *bound, const struct address *address)
{
	char text[ADDRESS_TEXT];

	report_event(1, "listening on %s (%s)", address_socket_text(bound, text),
		address->tls ? "tls" : address_scheme_name(address->scheme));
}

static void report_peer(const char *event, const struct connection *connection)
{
	char text[ADDRESS_TEXT];

	if (verbosity < 1)
		return; /* before it costs anything: this is for every connection */
	address_socket_text(&connection->peer, text);
	if (connection->tls) {
		char tls[TLS_TEXT];

		report_event(1, "%s %s (tls: %s)", event, text, tls_describe(connection->tls, tls));
	} else {
		report_event(1, "%s %s (%s)", event, text, address_scheme_name(connection->scheme));
	}
}

void report_accepted(const struct connection *connection)
{
	report_peer("accepted", connection);
}

void report_connected(const struct connection *connection)
{
	report_peer("connected to", connection);
}

void report_closed(const struct connection *connection, const char *why)
{
	char text[ADDRESS_TEXT];
	const struct stream *stream = connection->stream;
	double seconds;

	if (verbosity < 1)
		return;
	seconds = (double)(os_now() - connection->opened_at) / 1000;
	report_event(1, "closed %s: %llu bytes in, %llu bytes out, %.1f s, %s",
		address_socket_text(&connection->peer, text), (unsigned long long)stream->bytes_in,
		(unsigned long long)(stream->bytes_out + stream_sending(stream)), seconds, why);
}
