/* asyncapi.h: hydraglot.v1 as an AsyncAPI 3.0 document: docs/asyncapi.yaml. */
#ifndef HG_SERVICE_ASYNCAPI_H
#define HG_SERVICE_ASYNCAPI_H

#include "core/base/buf.h"

/* Appends the document, as YAML. Any thread. */
hg_status hg_asyncapi_print(hg_buf *out, hg_error *error) HG_CHECKED;

#endif
