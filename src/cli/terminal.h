/* What the terminal can show. */
#ifndef LS_CLI_TERMINAL_H
#define LS_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

/* Whether stream is a terminal that can rewrite its line. */
bool cli_is_terminal(FILE *stream);

/* Columns of the terminal on stream, 80 if unknown. */
int cli_columns(FILE *stream);

/* Whether characters beyond ASCII can be shown (the locale's character set is UTF-8). */
bool cli_utf8(void);

#endif
