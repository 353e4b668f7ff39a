/** By whom else one may sign in: a button for each OpenID realm, a choice where directories know people. */
import { Button, NativeSelect } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { strangersClient } from './session.ts'

export function useRealms() {
  const realms = useQuery({ queryKey: ['realms'], queryFn: () => strangersClient().call(ENDPOINTS['auth.realms']) })
  // Without them people of the cluster still sign in.
  return realms.data?.ok ? realms.data.value.items : []
}

type Realms = ReturnType<typeof useRealms>

export function ProviderButtons({ realms, onFailure }: { realms: Realms; onFailure: (failure: Failure) => void }) {
  const t = useText()
  const [leaving, setLeaving] = useState<string>()
  const go = async (realm: string) => {
    setLeaving(realm)
    const begun = await strangersClient().call(ENDPOINTS['auth.oidc-begin'], { body: { realm, form: 'cookie' } })
    if (begun.ok) return location.assign(begun.value.url)
    setLeaving(undefined)
    onFailure(begun.error)
  }
  return realms
    .filter(({ kind }) => kind === 'oidc')
    .map(({ name, title }) => (
      <Button key={name} variant="default" fullWidth loading={leaving === name} onClick={() => void go(name)}>
        {t('realm.with', { realm: title })}
      </Button>
    ))
}

/** `chosen`: the name of a realm; empty: the cluster itself. */
export function DirectoryChoice({
  realms,
  chosen,
  onChoose,
}: {
  realms: Realms
  chosen: string
  onChoose: (realm: string) => void
}) {
  const t = useText()
  const directories = realms.filter(({ kind }) => kind === 'ldap')
  if (directories.length === 0) return null
  const data = [
    { value: '', label: t('realm.here') },
    ...directories.map(({ name, title }) => ({ value: name, label: title })),
  ]
  return (
    <NativeSelect
      label={t('realm.account')}
      data={data}
      value={chosen}
      onChange={(event) => onChoose(event.currentTarget.value)}
    />
  )
}
