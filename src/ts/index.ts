/** The public surface of devmem-tcp, nothing else. */
export type { DiagnosticsOptions } from './diagnostics/options.js';
export { DiagnosticsServer, serveDiagnostics } from './diagnostics/server.js';
export type {
  BindingSnapshot,
  ConnectionSnapshot,
  DiagnosticsSnapshot,
  MemorySnapshot,
} from './diagnostics/snapshot.js';
export { diagnose, type DiagnoseOptions } from './doctor/diagnose.js';
export type { Area, Finding, Report, Status } from './doctor/report.js';
export {
  DEVMEM_ERRORS,
  DevmemError,
  type DevmemErrorCode,
  NODE_ERRORS,
  type NodeErrorCode,
  type SystemError,
  UnexpectedEndError,
} from './errors.js';
export type { Target } from './gather/engine.js';
export type { AllocateOptions, MemoryType } from './memory/allocate.js';
export type { BackingType, DeviceIpc } from './memory/backing.js';
export { type CudaDevice, CudaError } from './memory/cuda-driver.js';
export { type CpuAccess, DmaBuf, type IpcHandle } from './memory/dma-buf.js';
export { handOff, type HandOffOptions } from './memory/hand-off.js';
export type { HugePages, HugePageSize } from './memory/huge-pages.js';
export type { ImportOptions } from './memory/import.js';
export {
  type CudaProbe,
  type DmaHeapProbe,
  type HeapProbe,
  type HostProbe,
  type MemoryProbe,
  probeMemory,
  type UdmabufProbe,
} from './memory/probe.js';
export { type PassFdOptions, receiveFd, sendFd } from './memory/send-fd.js';
export type { ElementType } from './memory/tensor.js';
export { type Credentials, isSupported, unsupportedReason } from './native.js';
export { adopt, type AdoptOptions } from './net/adopt.js';
export { connect } from './net/connect.js';
export type { ConnectOptions } from './net/connect-options.js';
export type { ListenOptions } from './net/listen-options.js';
export {
  type ConnectionHandler,
  createServer,
  DevmemServer,
  type ServerOptions,
} from './net/server.js';
export { type BatchesOptions, DevmemSocket, type SocketStats } from './net/socket.js';
export type { SocketOptions } from './net/socket-options.js';
export type { BindRxOptions, DeviceTransport, Mode } from './nic/bind-options.js';
export { bindRx } from './nic/bind-rx.js';
export type { Allowance } from './nic/broker/policy.js';
export type { BrokerOptions, InheritedSocket } from './nic/broker/options.js';
export { Broker, type BrokerEvents, startBroker } from './nic/broker/server.js';
export type { BrokerClient } from './nic/broker/session.js';
export type { FallbackMessage } from './nic/fallback.js';
export {
  type Flow,
  type InterfacePlan,
  type NicStepMessage,
  planInterface,
  type PlanStep,
  prepareInterface,
  type PreparedInterface,
  type PrepareOptions,
  type RestoredSetting,
  type RestoreReport,
  type Setting,
} from './nic/prepare.js';
export type { MemoryDryMessage } from './nic/zcrx/binding.js';
export type {
  ReadIntoOptions,
  ReadOptions,
  ReadUntilOptions,
  RecordsOptions,
} from './reader/options.js';
export { SocketReader } from './reader/reader.js';
export type { StreamRecord } from './reader/records.js';
export { Span } from './reader/span.js';
export { Batch } from './receive/batch.js';
export {
  Binding,
  type BindingEvents,
  type BindingLostMessage,
  type Bindings,
  type InterfaceMessage,
  type PagePool,
  type RxQueue,
} from './receive/binding.js';
export type { DeviceFragment, Fragment, LinearFragment } from './receive/fragment.js';
export type {
  DeviceCallback,
  DeviceRun,
  LinearCallback,
  LinearRun,
  Payload,
  Run,
} from './receive/payload.js';
export { COUNTER_NAMES, type ReceiveStats } from './receive/stats.js';
export type { StallMessage } from './receive/stall.js';
export type { TokenMismatchMessage } from './receive/stream.js';
export type { TransportName } from './receive/transports/transport.js';
