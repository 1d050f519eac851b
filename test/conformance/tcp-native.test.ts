import { describeBusConformance } from './suite.ts'
import { requireNative, tcpBacking } from './tcp-backing.ts'

describeBusConformance(
  'a bus over TCP, the native codec on both sides',
  tcpBacking({ codec: requireNative() }, { codec: requireNative() }),
)
