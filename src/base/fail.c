#include "base/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[LS_MESSAGE_SIZE];

const char *ls_status_text(ls_status status)
{
    switch (status) {
#define LS_STATUS_CASE(name, number, text)                                                                   \
    case name:                                                                                               \
        return text;
        LS_STATUS_LIST(LS_STATUS_CASE)
#undef LS_STATUS_CASE
    }
    return "unknown status";
}

const char *ls_error_message(void)
{
    return message;
}

ls_status ls_fail(ls_status status, const char *format, ...)
{
    /* The arguments may contain the present message (a caller adds context), hence the second buffer. */
    char text[LS_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    /* What a file says must not move the cursor or change colours of the terminal that shows it. */
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f) *at = '?';
    snprintf(message, sizeof message, "%s", text);
    return status;
}

void ls_list_name(char *list, size_t size, const char *name)
{
    const size_t used = strlen(list);
    snprintf(list + used, size - used, "%s%s", used ? ", " : "", name);
}
