/** Empties a host, or gives it back to the guests, after showing what that does. */
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { HostView } from '@stead/api/views.ts'
import { useText } from '../i18n/texts.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'

export type HostAction = 'drain' | 'undrain'

export function HostActionDialog(props: { host: HostView; action: HostAction; onClose: () => void }) {
  const { host, action, onClose } = props
  const t = useText()
  const params = { host: host.name }
  return (
    <ChangeDialog
      title={t(`host.ask.${action}`, { name: host.name })}
      confirm={t(`host.${action}`)}
      foreseen={[]}
      call={(client) =>
        action === 'drain'
          ? client.call(ENDPOINTS['host.drain'], { params, body: {} })
          : client.call(ENDPOINTS['host.undrain'], { params })
      }
      onClose={onClose}
    />
  )
}
