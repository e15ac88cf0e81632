#include "queue/token_queue_handle.h"

#include "support/values.h"

namespace devmem {

namespace {

constexpr napi_type_tag kTag = {0x6465766d656d746f, 0x6b656e7175657565};

}  // namespace

Napi::Function TokenQueueHandle::Define(Napi::Env env) {
  return DefineClass(env, "TokenQueue",
                     {InstanceMethod<&TokenQueueHandle::Open>("open"),
                      InstanceMethod<&TokenQueueHandle::Close>("close")});
}

TokenQueueHandle* TokenQueueHandle::From(const Napi::Value& value) {
  return Unwrapped<TokenQueueHandle>(value, kTag);
}

TokenQueueHandle::TokenQueueHandle(const Napi::CallbackInfo& info)
    : Wrapped<TokenQueueHandle>(info), queue_(std::make_shared<TokenQueue>()) {
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

// open() -> 0 | -errno; see TokenQueue::Open
Napi::Value TokenQueueHandle::Open(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), queue_->Open(info.Env()));
}

void TokenQueueHandle::Close(const Napi::CallbackInfo&) {
  queue_->Close();
}

}  // namespace devmem
