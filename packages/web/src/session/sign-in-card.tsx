/** What stands before the cluster: one question after the other, on a card. */
import { Stack } from '@mantine/core'
import type { ReactNode } from 'react'
import classes from './sign-in-card.module.css'

export function SignInCard({ title, text, children }: { title: string; text?: string; children: ReactNode }) {
  return (
    <main className={classes.page}>
      <div className={classes.card}>
        <Stack>
          <div className={classes.brand}>
            <img src="/stead.svg" alt="" width={44} height={44} />
            <h1 className={classes.title}>{title}</h1>
          </div>
          {text === undefined ? null : <p className={classes.text}>{text}</p>}
          {children}
        </Stack>
      </div>
    </main>
  )
}
