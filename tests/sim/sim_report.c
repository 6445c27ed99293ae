/* What a user is told, for report.h: the scenario hears of each connection's end, nobody of the rest. */
#include "sim.h"

#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

void report_error(const char *format, ...)
{
	(void)format;
}

/* The records that a subscriber has missed are told just before its end is. */
void report_warning(const char *format, ...)
{
	va_list arguments;

	if (strncmp(format, "%llu records dropped", 20) != 0)
		return;
	va_start(arguments, format);
	sim_process.dropped = va_arg(arguments, unsigned long long);
	va_end(arguments);
}

void report_event(int level, const char *format, ...)
{
	(void)level, (void)format;
}

void report_listening(const struct os_address *bound, const struct address *address)
{
	(void)bound, (void)address;
}

void report_accepted(const struct connection *connection)
{
	if (sim_process.accepted)
		sim_process.accepted(connection);
}

void report_connected(const struct connection *connection)
{
	(void)connection;
}

void report_closed(const struct connection *connection, const char *why)
{
	sim_process.closed(connection, why);
	sim_process.dropped = 0;
}

bool sim_has_told(const struct sim_socket *socket, int error)
{
	return error == socket->told || error == socket->told_here ||
	       (error == -EPIPE && socket->told_broken) ||
	       (error == -ENOMEM && sim_faults.memory) || (error == -ENOSPC && sim_faults.transfer);
}

bool sim_was_told(const struct sim_socket *socket, const char *why)
{
	const int errors[] = { socket->told, socket->told_here, -EPIPE, -ENOMEM, -ENOSPC };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i] && sim_has_told(socket, errors[i]) &&
			strcmp(why, os_error(errors[i])) == 0)
			return true;
	return false;
}

/* With completions a piece counts when all of it has gone, and that is told later. */
bool sim_is_idle(const struct sim_socket *socket, uint64_t timeout)
{
	return timeout && (sim_piece || sim_now - socket->moved_at >= timeout);
}
