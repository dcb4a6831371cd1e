/* What Keras' descriptions of models, trainings and optimizers have in common. All functions are local. */
#ifndef LS_MODEL_KERAS_JSON_H
#define LS_MODEL_KERAS_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "base/fail.h"

/* Reads the text of an object. LS_E_INPUT, naming file and place, for anything else. The caller drops the
 * reference *root. */
ls_status ls_keras_json_parse(const char *file, const char *place, const char *text, json_t **root);

/* Whether a member is null or absent, which means the same. */
bool ls_keras_is_null(const json_t *value);

/* For messages: the class name of an object, the text of a string, otherwise a word for it. Borrowed. */
const char *ls_keras_describe(const json_t *value);

/* The name in "tanh" or {"class_name": "function", "config": "tanh"}; NULL otherwise. Borrowed. */
const char *ls_keras_function_name(const json_t *value);

/* The shortest decimal number that rounds to the same float32 as value, if value is a float32: 0.1 for
 * 0.10000000149011612; otherwise value itself. */
double ls_keras_undo_float32(double value);

#endif
