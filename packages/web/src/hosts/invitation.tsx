/** Makes the token by which one more host joins, and says once what is to be typed there. */
import { Loader, Select } from '@mantine/core'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useHosts } from '../live/use-live.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { momentText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { SecretDialog } from '../parts/secret-dialog.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { useRefusal } from '../session/privileges.ts'
import classes from './hosts-page.module.css'

const ROLES = ['compute', 'witness'] as const
type Role = (typeof ROLES)[number]

interface Invited {
  readonly token: string
  readonly role: Role
  readonly expiresAt: string
  /** Hosts that there were. */
  readonly before: readonly string[]
}

export function InviteButton() {
  const t = useText()
  const language = useLanguage()
  const refusal = useRefusal('/')(ENDPOINTS['host.invite'].permission)
  const before = useHosts().map(({ name }) => name)
  const [isAsked, setAsked] = useState(false)
  const [invited, setInvited] = useState<Invited>()
  return (
    <>
      <RefusableButton
        size="xs"
        leftSection={<Icon name="plus" size={15} />}
        refusal={refusal}
        onClick={() => setAsked(true)}
      >
        {t('hosts.invite')}
      </RefusableButton>
      {isAsked ? (
        <InviteDialog onInvited={(made) => setInvited({ ...made, before })} onClose={() => setAsked(false)} />
      ) : null}
      {invited ? (
        <SecretDialog
          title={t('hosts.invited')}
          text={t('hosts.invitedText', { until: momentText(invited.expiresAt, language) })}
          secret={`stead ${invited.role === 'witness' ? 'witness' : 'join'} ${invited.token}`}
          onClose={() => setInvited(undefined)}
        >
          <Arrival of={invited} />
        </SecretDialog>
      ) : null}
    </>
  )
}

/** Seen here, so that who has typed it there needs not look elsewhere whether it was right. */
function Arrival({ of: { role, before } }: { of: Invited }) {
  const t = useText()
  const come = useHosts().find((host) => host.role === role && !before.includes(host.name))
  return (
    <p className={classes.arrival} role="status">
      {come ? (
        <>
          {t('hosts.arrived', { name: come.name })} <StateBadge state={come.state} />
        </>
      ) : (
        <>
          <Loader size="xs" /> {t('hosts.awaited')}
        </>
      )}
    </p>
  )
}

function InviteDialog(props: { onInvited: (invited: Omit<Invited, 'before'>) => void; onClose: () => void }) {
  const t = useText()
  const [role, setRole] = useState<Role>('compute')
  return (
    <ChangeDialog
      title={t('hosts.invite')}
      confirm={t('hosts.makeToken')}
      call={async (client) => {
        const invited = await client.call(ENDPOINTS['host.invite'], { body: { role } })
        if (invited.ok) props.onInvited(invited.value)
        return invited
      }}
      onClose={props.onClose}
    >
      <Select
        label={t('hosts.role')}
        description={t('hosts.roleText')}
        data={ROLES.map((value) => ({ value, label: t(`host.role.${value}`) }))}
        value={role}
        onChange={(value) => setRole(value === 'witness' ? 'witness' : 'compute')}
        allowDeselect={false}
      />
    </ChangeDialog>
  )
}
