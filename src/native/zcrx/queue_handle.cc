#include "zcrx/queue_handle.h"

#include <cerrno>
#include <utility>

#include "support/callback.h"
#include "support/values.h"

namespace devmem {

namespace {

constexpr napi_type_tag kTag = {0x6465766d656d7a63, 0x7278717565756501};
constexpr double kMostBytes = 9007199254740991.0;  // what JavaScript counts exactly

// queryZcrx() -> {features, controls, areas} | -errno
Napi::Value QueryZcrx(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uapi::QueryZcrxAnswer answer = {};
  uapi::QueryHdr query = {};
  query.query_data = reinterpret_cast<uintptr_t>(&answer);
  query.query_op = uapi::kQueryZcrx;
  query.size = sizeof answer;
  int status = uapi::IoUringRegister(-1, uapi::kRegisterQuery, &query, 0);
  if (status >= 0) status = query.result;
  if (status < 0) return Napi::Number::New(env, status);
  Napi::Object told = Napi::Object::New(env);
  (void)told.Set("dmabufAreas", (answer.area_flags & uapi::kZcrxAreaDmabuf) != 0);
  (void)told.Set("flushes", answer.nr_ctrl_opcodes > uapi::kZcrxCtrlFlushRq);
  (void)told.Set("bufferSizes", (answer.features & uapi::kZcrxFeatureRxPageSize) != 0);
  (void)told.Set("events", (answer.features & uapi::kZcrxFeatureEvent) != 0);
  return told;
}

}  // namespace

void DefineZcrx(Napi::Env env, Napi::Object exports) {
  exports.DefineProperties({
      Napi::PropertyDescriptor::Function(env, exports, "queryZcrx", QueryZcrx, napi_enumerable),
      Napi::PropertyDescriptor::Value("ZcrxQueue", ZcrxQueueHandle::Define(env), napi_enumerable),
  });
}

Napi::Function ZcrxQueueHandle::Define(Napi::Env env) {
  return DefineClass(env, "ZcrxQueue",
                     {InstanceMethod<&ZcrxQueueHandle::Open>("open"),
                      InstanceMethod<&ZcrxQueueHandle::Register>("register"),
                      InstanceMethod<&ZcrxQueueHandle::Close>("close")});
}

ZcrxQueueHandle* ZcrxQueueHandle::From(const Napi::Value& value) {
  return Unwrapped<ZcrxQueueHandle>(value, kTag);
}

ZcrxQueueHandle::ZcrxQueueHandle(const Napi::CallbackInfo& info) : Wrapped<ZcrxQueueHandle>(info) {
  if (!info[0].IsFunction()) {
    ThrowMisuse(info.Env(), "ZcrxQueue(onMemoryDry)");
    return;
  }
  queue_ = std::make_shared<ZcrxQueue>();
  on_memory_dry_ = Napi::Persistent(info[0].As<Napi::Function>());
  context_.emplace(info.Env(), "devmem-tcp:zcrx", info.This().As<Napi::Object>());
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

ZcrxQueueHandle::~ZcrxQueueHandle() {
  if (queue_ != nullptr) queue_->Close();
}

// open() -> 0 | -errno of io_uring_setup(2)
Napi::Value ZcrxQueueHandle::Open(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), queue_->Open());
}

// register(interfaceIndex, queue, fd, size, bufferSize, events) -> 0 | -errno of
// io_uring_register(2)
Napi::Value ZcrxQueueHandle::Register(const Napi::CallbackInfo& info) {
  double size = ToDouble(info[3]);
  if (!(size >= 1 && size <= kMostBytes)) return Napi::Number::New(info.Env(), -EINVAL);
  Ifq::Request request = {};
  request.interface_index = ToUint(info[0]);
  request.queue = ToUint(info[1]);
  request.dmabuf = ToInt(info[2]);
  request.size = static_cast<uint64_t>(size);
  request.buffer_size = ToUint(info[4]);
  request.events = ToBool(info[5]);
  int status = queue_->Register(info.Env(), request, this);
  if (status == 0) {
    referenced_ = true;
    Ref();  // until it is closed, or the environment ends
  }
  return Napi::Number::New(info.Env(), status);
}

// The callback may lead to this object: held on to, neither could ever be collected.
void ZcrxQueueHandle::Close(const Napi::CallbackInfo&) {
  queue_->Close();
  on_memory_dry_.Reset();
  if (std::exchange(referenced_, false)) Unref();
}

void ZcrxQueueHandle::OnMemoryDry() {
  Napi::HandleScope scope(Env());
  CallFromLoop(Env(), *context_, Value(), on_memory_dry_.Value(), {});
}

}  // namespace devmem
