#include "model/keras_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ls_keras_is_null(const json_t *value)
{
    return !value || json_is_null(value);
}

const char *ls_keras_describe(const json_t *value)
{
    const char *name = json_string_value(json_object_get(value, "class_name"));
    if (name) return name;
    if (json_is_string(value)) return json_string_value(value);
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_NULL:
        return "nothing";
    default:
        return "a number";
    }
}

ls_status ls_keras_json_parse(const char *file, const char *place, const char *text, json_t **root)
{
    json_error_t error;
    *root = json_loads(text, 0, &error);
    if (!*root)
        return ls_fail(LS_E_INPUT, "%s: %s: not valid JSON at character %d: %s", file, place, error.position,
                       error.text);
    if (!json_is_object(*root)) {
        json_decref(*root);
        return ls_fail(LS_E_INPUT, "%s: %s: the JSON is not an object", file, place);
    }
    return LS_OK;
}

const char *ls_keras_function_name(const json_t *value)
{
    if (json_is_object(value)) {
        const char *class_name = json_string_value(json_object_get(value, "class_name"));
        if (!class_name || strcmp(class_name, "function") != 0) return NULL;
        return json_string_value(json_object_get(value, "config"));
    }
    return json_string_value(value);
}

double ls_keras_undo_float32(double value)
{
    const float narrow = (float)value;
    if (!isfinite(value) || (double)narrow != value) return value;
    for (int digits = 1; digits < 9; digits++) {
        char text[32];
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtof(text, NULL) == narrow) return strtod(text, NULL);
    }
    return value;
}
