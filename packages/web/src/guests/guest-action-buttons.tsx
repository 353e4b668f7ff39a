/** The actions on guests as buttons: the common ones in the open, each refused one with its reason. */
import { useState } from 'react'
import type { GuestView } from '@stead/api/views.ts'
import { useText } from '../i18n/texts.ts'
import { Icon } from '../parts/icon.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { showFailure } from '../parts/toasts.tsx'
import { useRefusal } from '../session/privileges.ts'
import { useSession } from '../session/session-context.ts'
import { ActionDialog, type AskedAction } from './action-dialog.tsx'
import {
  ACTION_ICONS,
  ACTION_PRIVILEGES,
  GUEST_ACTIONS,
  obstacleTo,
  obstacleToAll,
  perform,
  type GuestAction,
} from './guest-actions.ts'

const NO_CHOICE = {
  force: false,
  to: undefined,
  live: false,
  postCopy: false,
  snapshotName: '',
  memory: false,
} as const

export function GuestActionButtons({ guests, onDone }: { guests: readonly GuestView[]; onDone?: () => void }) {
  const t = useText()
  const { client } = useSession()
  const [asked, setAsked] = useState<AskedAction>()
  // Of several guests each answers for itself.
  const refusal = useRefusal(guests.length === 1 ? `/guests/${guests[0]?.name}` : undefined)

  const ask = async (action: GuestAction) => {
    const able = guests.filter((guest) => obstacleTo(action, guest) === undefined)
    if (action !== 'start') return setAsked({ action, guests: able })
    // Starting harms nothing that could be shown beforehand.
    for (const guest of able) {
      const started = await perform(client, 'start', guest.name, NO_CHOICE)
      if (started.ok) continue
      // The dialog says so, and lets it be done all the same.
      if (started.error.code === 'admission') return setAsked({ action, guests: [guest], refused: started.error })
      showFailure(started.error)
    }
    onDone?.()
  }

  return (
    <>
      {GUEST_ACTIONS.filter((action) => action !== 'move' || guests.length === 1).map((action) => {
        const obstacle = obstacleToAll(action, guests)
        return (
          <RefusableButton
            key={action}
            size="xs"
            variant={action === 'start' && obstacle === undefined ? 'filled' : 'default'}
            leftSection={<Icon name={ACTION_ICONS[action]} size={15} />}
            obstacle={obstacle}
            refusal={refusal(ACTION_PRIVILEGES[action])}
            onClick={() => void ask(action)}
          >
            {t(`action.${action}`)}
          </RefusableButton>
        )
      })}
      {asked ? (
        <ActionDialog
          asked={asked}
          onClose={() => {
            setAsked(undefined)
            onDone?.()
          }}
        />
      ) : null}
    </>
  )
}
