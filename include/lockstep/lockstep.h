/* The whole public API. */
#ifndef LOCKSTEP_LOCKSTEP_H
#define LOCKSTEP_LOCKSTEP_H

#include "lockstep/dataset.h"
#include "lockstep/error.h"
#include "lockstep/evaluate.h"
#include "lockstep/generate.h"
#include "lockstep/interrupt.h"
#include "lockstep/model.h"
#include "lockstep/optimizer.h"
#include "lockstep/plan.h"
#include "lockstep/progress.h"
#include "lockstep/session.h"
#include "lockstep/train.h"
#include "lockstep/tune.h"
#include "lockstep/types.h"

#endif
