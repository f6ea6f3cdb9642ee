from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from dashboard import views

urlpatterns = [
    path("", views.board_page, name="board"),
    path("waits/<uuid:wait_id>/", views.wait_page, name="wait"),
    path("waits/<uuid:wait_id>/row/", views.wait_row, name="wait-row"),
    path("waits/<uuid:wait_id>/timeline/", views.wait_timeline, name="wait-timeline"),
    path("waits/<uuid:wait_id>/resume/", views.wait_resume, name="wait-resume"),
    path("waits/<uuid:wait_id>/stop/", views.wait_stop, name="wait-stop"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
]
